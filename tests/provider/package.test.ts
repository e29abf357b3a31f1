import { expect } from "chai";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { buildGenerator } from "../../scripts/pulumi/build";
import { findEngine } from "../../scripts/pulumi/engine";
import { cacheFolder, hasLanguageHost } from "../../scripts/pulumi/paths";
import { long } from "../support/long";
import { productPlugin } from "../support/plugin";
import { skip } from "../support/skip";

const run = promisify(execFile);

interface Schema {
  name: string;
  version: string;
  resources: Record<string, { description: string; requiredInputs: string[] }>;
  functions: Record<string, unknown>;
}

describe("provider: pulumi package", function () {
  this.timeout(120_000);
  let folder: string;
  let pulumi: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "guardian-package-"));
    pulumi = (await findEngine({ log: { line: () => undefined } })).path;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const cli = (args: string[], bin = ""): Promise<{ stdout: string; stderr: string }> => {
    const PATH = `${bin}${delimiter}${process.env["PATH"] ?? ""}`;
    const env = { ...process.env, PATH, PULUMI_HOME: join(folder, "home"), PULUMI_SKIP_UPDATE_CHECK: "true" };
    return run(pulumi, args, { cwd: folder, env });
  };

  it("get-schema prints what the plugin says of itself, and finds no fault in it", async () => {
    const { stdout, stderr } = await cli(["package", "get-schema", productPlugin]);
    const schema = JSON.parse(stdout) as Schema;
    expect([schema.name, schema.version]).to.deep.equal(["guardian-migration", "0.1.0"]);
    expect(Object.keys(schema.resources)).to.have.length(8);
    expect(schema.resources["guardian-migration:index:SqlModule"]?.requiredInputs).to.have.members([
      "ledgerId",
      "module",
    ]);
    expect(Object.keys(schema.functions)).to.deep.equal(["guardian-migration:index:assess"]);
    expect(stderr).not.to.match(/warning|error/i);
  });

  // The schema above is all that it is made of.
  long("gen-sdk --language nodejs makes typed classes, secrets among them", async function (this: Mocha.Context) {
    this.timeout(600_000); // the first time the generator is built
    const generator = async (): Promise<string> => {
      const options = { env: process.env, log: { line: () => undefined } };
      return buildGenerator(cacheFolder(process.env), options).catch((err: unknown) =>
        skip(this, `there is neither Pulumi's Node language host nor a way to build its generator: ${String(err)}`),
      );
    };
    const bin = hasLanguageHost(pulumi, process.env) ? "" : await generator();
    const out = join(folder, "sdks");
    const args = ["package", "gen-sdk", productPlugin, "--language", "nodejs", "--out", out];
    const { stdout, stderr } = await cli(args, bin);
    expect(stdout + stderr).not.to.match(/error|fail/i);
    const read = (name: string): string => readFileSync(join(out, "nodejs", name), "utf8");
    for (const name of ["ledger", "backup", "sqlModule", "migrationSession", "dataMigration", "sessionCompletion"]) {
      expect(existsSync(join(out, "nodejs", `${name}.ts`)), name).to.equal(true);
    }
    const flag = read("featureFlag.ts");
    expect(flag).to.contain("rolloutPercentage: pulumi.Input<number>;");
    expect(flag).to.match(/additionalSecretOutputs: \[.*"enabledForUsers"\]/);
    expect(read("assess.ts")).to.contain("export function assess(");
    expect(read("provider.ts")).to.contain("database?: pulumi.Input<inputs.ProviderDatabase");
  });
});
