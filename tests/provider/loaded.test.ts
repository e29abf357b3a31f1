import { expect } from "chai";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "../support/plugin";

interface Loaded {
  files: string[];
  /** The same with guardian:aws. */
  withAws: string[];
  declared: string[];
  enabled: string[];
}

describe("provider: what the program loads", function () {
  this.timeout(120_000);
  let loaded: Loaded;
  before(async () => {
    const program = join(root, "tests", "support", "program.ts");
    const { stdout } = await promisify(execFile)(process.execPath, ["--require", "tsx/cjs", program], { cwd: root });
    loaded = JSON.parse(stdout) as Loaded;
  });

  it("is the whole stack", () => {
    const ours = loaded.declared.filter((type) => type.startsWith("guardian-migration:index:"));
    expect(new Set(ours).size).to.equal(8);
    expect(ours.filter((type) => type.endsWith(":FeatureFlag"))).to.have.length(14);
    expect(loaded.files).to.include.members(["index.ts", "config/index.ts", "resources/feature-flag/declare.ts"]);
  });

  it("switches on what is rolled out to somebody, or has a list of users", () =>
    expect(loaded.enabled.sort()).to.deep.equal(["event_sourcing", "multi_tenancy", "telehealth"]));

  it("holds neither pg nor the engine nor the plugin: what is declared does no work", () => {
    const foreign = loaded.files.filter(
      (file) => /^(engine|provider)\/|\/handle\.ts$|^resources\/(registry|handler)\.ts$/.test(file) || isPackage(file),
    );
    expect(foreign).to.deep.equal([]);
  });

  it("18-8 holds nothing of AWS nor of PostgreSQL's roles, but where guardian:aws names a database; and then what is used of it alone", () => {
    const ofAws = (files: string[]): string[] =>
      files.filter((file) => /@pulumi\/(aws|postgresql)\/|components\/aws-/.test(file));
    expect(ofAws(loaded.files)).to.deep.equal([]);
    const used = ofAws(loaded.withAws);
    expect(used).to.include.members(["components/aws-snapshot.ts", "node_modules/@pulumi/aws/rds/snapshot.js"]);
    expect(used).not.to.include("node_modules/@pulumi/aws/index.js");
    expect(used).to.have.length.below(12);
  });
});

describe("provider: what the plugin loads when it starts", () => {
  it("is no parser: an up that finds nothing changed needs none, and they would take a third of the start", async () => {
    const code = `require("./resources/registry"); console.log(JSON.stringify(Object.keys(require.cache)))`;
    const loader = join(root, "provider", "boot", "loader.cjs");
    const { stdout } = await promisify(execFile)(process.execPath, ["--require", loader, "-e", code], { cwd: root });
    const files = JSON.parse(stdout) as string[];
    expect(files.filter((file) => /resources\/(registry|sql-module\/handle)\.ts$/.test(file))).to.have.length(2);
    expect(
      files.filter((file) => /node_modules\/(@libpg-query|yaml|@pulumi\/pulumi\/(?!proto))/.test(file)),
    ).to.deep.equal([]);
  });
});

describe("what npm's commands load when they start", () => {
  it("is neither Pulumi's SDK nor AWS's nor a parser: these take longer than a whole start", async () => {
    const names = ["gates", "backups", "grants", "purge", "pulumi/stacks"];
    const code = `${JSON.stringify(names)}.forEach((name) => require("./scripts/" + name)); console.log(JSON.stringify(Object.keys(require.cache)))`;
    const loader = join(root, "provider", "boot", "loader.cjs");
    const { stdout } = await promisify(execFile)(process.execPath, ["--require", loader, "-e", code], { cwd: root });
    const files = JSON.parse(stdout) as string[];
    expect(files.filter((file) => /scripts\/(gates|backups)\.ts$/.test(file))).to.have.length(2);
    expect(files.filter((file) => /node_modules\/(@pulumi|@aws-sdk|@grpc|@libpg-query)\//.test(file))).to.deep.equal(
      [],
    );
  });
});

/** Packages that only the plugin needs. */
function isPackage(file: string): boolean {
  return /(^|\/)node_modules\/(pg|pg-[a-z-]+|@libpg-query\/parser)\//.test(file);
}
