import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { withFolder } from "./support/folder";

const root = join(__dirname, "..");

interface Linted {
  diagnostics: { code: string; help: string; filename: string; labels: { span: { line: number } }[] }[];
}

/** What lint says of a folder, and its exit code. */
function linted(folder: string): Linted & { status: number | null } {
  const bin = (name: string): string => join(root, "node_modules", ".bin", name);
  const env = { ...process.env, OXLINT_TSGOLINT_PATH: bin("tsgolint") };
  const { stdout, status } = spawnSync(bin("oxlint"), ["--format", "json", "."], {
    cwd: folder,
    env,
    encoding: "utf8",
  });
  return { ...(JSON.parse(stdout) as Linted), status };
}

/** What lint says of imports, by the rules that hold the arrows alone: the advice by file and import. */
function said(
  imports: readonly (readonly [file: string, imported: string, ...rest: string[]])[],
): Promise<Map<string, string>> {
  return withFolder((folder) => {
    writeFileSync(join(folder, ".oxlintrc.json"), readFileSync(join(root, ".oxlintrc.json")));
    const of = new Map<string, string[]>();
    for (const [file, imported] of imports) of.set(file, [...(of.get(file) ?? []), imported]);
    for (const [file, all] of of) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), all.map((imported) => `import "${imported}";\n`).join(""));
    }
    const found = linted(folder).diagnostics.filter(({ code }) => /no-restricted-imports/.test(code));
    return new Map(
      found.map(({ filename, labels, help }) => {
        const line = labels[0]?.span.line ?? 0;
        return [`${filename} ${of.get(filename)?.[line - 1] ?? ""}`, help];
      }),
    );
  });
}

describe("arrows go one way", function () {
  this.timeout(120_000);
  const aws = "of @pulumi/aws only the files that are needed, such as @pulumi/aws/rds/snapshot";
  const refused: [file: string, imported: string, why: string][] = [
    ["spec/check.ts", "../engine/base/errors", "spec/ imports nothing"],
    ["spec/check.ts", "node:fs", "spec/ imports nothing"],
    ["spec/check.ts", "yaml", "spec/ imports nothing"],
    ["engine/base/errors.ts", "../../config", "engine/ knows nothing of Pulumi"],
    ["engine/module/apply.ts", "../../resources/registry", "engine/ knows nothing of Pulumi"],
    ["engine/base/errors.ts", "@pulumi/pulumi", "engine/ knows nothing of Pulumi"],
    ["engine/migrate/phases/cut-over.ts", "./catch-up", "phases know neither each other nor Pulumi"],
    ["engine/migrate/phases/cut-over.ts", "@pulumi/pulumi", "phases know neither each other nor Pulumi"],
    ["provider/serve.ts", "../resources/registry", "provider/ knows nothing of PostgreSQL, nor of what it serves"],
    ["provider/serve.ts", "../config", "provider/ knows nothing of PostgreSQL, nor of what it serves"],
    ["provider/serve.ts", "pg", "provider/ knows nothing of PostgreSQL, nor of what it serves"],
    ["resources/handler.ts", "../bench/main", "the product does not need its own tools"],
    ["config/index.ts", "../engine/base/errors", "what the program declares reaches neither pg nor engine/"],
    ["config/index.ts", "pg", "what the program declares reaches neither pg nor engine/"],
    ["resources/ledger/spec.ts", "../../engine/base/hash", "what the program declares reaches neither pg nor engine/"],
    ["resources/ledger/declare.ts", "./handle", "what the program declares reaches neither pg nor engine/"],
    ["components/aws-snapshot.ts", "@pulumi/aws", aws],
    ["components/aws-snapshot.ts", "@pulumi/aws/rds", aws],
    ["tests/arrows.test.ts", "@pulumi/aws/index", aws],
    ["index.ts", "./engine/base/errors", "what the program declares reaches neither pg nor engine/"],
    ["foundation/index.ts", "../engine/base/errors", "what the program declares reaches neither pg nor engine/"],
  ];

  const allowed = [
    ["spec/check.ts", "./shape"],
    ["engine/module/files/manifest.ts", "../../../spec"],
    ["engine/migrate/phases/cut-over.ts", "../rows/proof"],
    ["provider/check.ts", "../spec"],
    ["config/index.ts", "../spec"],
    ["components/aws-snapshot.ts", "@pulumi/aws/rds/snapshot"],
    ["components/aws-account.ts", "@pulumi/aws/getCallerIdentity"],
    ["resources/main.ts", "../provider/serve"],
    ["resources/ledger/handle.ts", "../../engine/database"],
  ] as const;
  let told: Map<string, string>;
  before(async () => (told = await said([...refused, ...allowed])));
  for (const [file, imported, why] of refused) {
    it(`${file} may not import ${imported}`, () => expect(told.get(`${file} ${imported}`)).to.equal(why));
  }
  for (const [file, imported] of allowed) {
    it(`${file} may import ${imported}`, () => expect(told.get(`${file} ${imported}`)).to.equal(undefined));
  }
});

describe("lint", () => {
  it("knows types: a promise that nobody waits for is an error", () =>
    withFolder((folder) => {
      writeFileSync(join(folder, ".oxlintrc.json"), readFileSync(join(root, ".oxlintrc.json")));
      writeFileSync(join(folder, "tsconfig.json"), '{ "compilerOptions": { "target": "ES2023", "types": [] } }');
      writeFileSync(join(folder, "a.ts"), "const wait = async (): Promise<void> => {};\nwait();\n");
      const { status, diagnostics } = linted(folder);
      expect(status).to.equal(1);
      expect(diagnostics.map(({ code }) => code)).to.deep.equal(["typescript(no-floating-promises)"]);
    }));
});

interface Cruised {
  summary: { violations: { from: string; to: string; rule: { name: string } }[] };
}

/** What dependency-cruiser says of these files by our rules: the rule, the file, and where its import leads. */
function broken(files: Record<string, string>): Promise<string[]> {
  return withFolder((folder) => {
    for (const [file, text] of Object.entries({ ...files, "tsconfig.json": "{}" })) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    const bin = join(root, "node_modules", ".bin", "depcruise");
    const args = [bin, "--config", join(root, ".dependency-cruiser.cjs"), "--output-type", "json", "."];
    const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    const { violations } = (JSON.parse(stdout) as Cruised).summary;
    return violations.map(({ from, to, rule }) => `${rule.name}: ${from} → ${to}`);
  });
}

describe("dependency-cruiser", function () {
  this.timeout(60_000);

  it("sees every kind of arrow that may not be, and no other", async () => {
    const rules = (require("../.dependency-cruiser.cjs") as { forbidden: { name: string }[] }).forbidden;
    const imports = (...what: string[]): string =>
      what.map((one, i) => `import { x as x${i} } from "${one}";`).join("\n") + "\nexport const x = 1;\n";
    const found = await broken({
      "node_modules/pg/package.json": '{ "name": "pg", "main": "index.js" }',
      "node_modules/pg/index.js": "exports.x = 1;",
      "index.ts": imports("./config/all"),
      "config/all.ts": imports("./keys", "../spec/leaf"),
      "config/keys.ts": imports("../engine/leaf"),
      "config/stage.ts": imports("../components/leaf"),
      "components/leaf.ts": imports("../spec/leaf"),
      "engine/leaf.ts": imports("pg", "./base/leaf"),
      "engine/base/leaf.ts": imports("../../spec/leaf"),
      "engine/base/high.ts": imports("../leaf"),
      "engine/provided.ts": imports("../provider/leaf"),
      "engine/tooled.ts": imports("../scripts/leaf"),
      "engine/ledger/writes.ts": imports("../module/leaf"),
      "engine/module/leaf.ts": imports("../leaf"),
      "engine/migrate/phases/plan.ts": imports("./move"),
      "engine/migrate/phases/move.ts": imports("../../leaf"),
      "provider/leaf.ts": imports("../spec/leaf"),
      "provider/stored.ts": imports("../engine/leaf"),
      "resources/one/handle.ts": imports("../two/handle"),
      "resources/two/handle.ts": imports("../../engine/leaf"),
      "scripts/leaf.ts": imports("../spec/leaf"),
      "scripts/tested.ts": imports("../tests/leaf"),
      "scripts/benched.ts": imports("../bench/leaf"),
      "tests/leaf.ts": imports("../engine/leaf"),
      "bench/leaf.ts": imports("../engine/leaf"),
      "spec/leaf.ts": "export const x = 1;",
      "spec/curious.ts": imports("../scripts/leaf"),
      "spec/there.ts": imports("./back"),
      "spec/back.ts": imports("./there"),
      "node_modules/@pulumi/aws/package.json": '{ "name": "@pulumi/aws", "main": "index.js" }',
      "node_modules/@pulumi/aws/index.js": "exports.x = 1;",
      "node_modules/@pulumi/aws/rds/index.js": "exports.x = 1;",
      "node_modules/@pulumi/aws/rds/snapshot.js": "exports.x = 1;",
      "components/clouds.ts": imports("@pulumi/aws", "@pulumi/aws/rds", "@pulumi/aws/rds/snapshot"),
      "spec/alone.ts": "export const x = 1;",
      "spec/lost.ts": imports("./nowhere"),
    });
    expect(found.sort()).to.deep.equal([
      "aws-only-by-its-files: components/clouds.ts → node_modules/@pulumi/aws/index.js",
      "aws-only-by-its-files: components/clouds.ts → node_modules/@pulumi/aws/rds/index.js",
      "base-is-below-the-engine: engine/base/high.ts → engine/leaf.ts",
      "config-knows-only-spec: config/stage.ts → components/leaf.ts",
      "engine-knows-no-pulumi: engine/provided.ts → provider/leaf.ts",
      "kinds-of-resources-know-no-other-kind: resources/one/handle.ts → resources/two/handle.ts",
      "ledger-knows-not-who-writes-it: engine/ledger/writes.ts → engine/module/leaf.ts",
      "no-circles: spec/back.ts → spec/there.ts",
      "no-import-that-leads-nowhere: spec/lost.ts → ./nowhere",
      "no-orphans: spec/alone.ts → spec/alone.ts",
      "phases-do-not-know-each-other: engine/migrate/phases/plan.ts → engine/migrate/phases/move.ts",
      "product-needs-no-tools: engine/tooled.ts → scripts/leaf.ts",
      "product-needs-no-tools: spec/curious.ts → scripts/leaf.ts",
      "program-reaches-no-postgres: index.ts → node_modules/pg/index.js",
      "provider-knows-no-postgres-nor-what-it-serves: provider/stored.ts → engine/leaf.ts",
      "scripts-need-no-bench: scripts/benched.ts → bench/leaf.ts",
      "spec-imports-nothing: spec/curious.ts → scripts/leaf.ts",
      "spec-imports-nothing: spec/lost.ts → ./nowhere",
      "tools-need-no-tests: scripts/tested.ts → tests/leaf.ts",
      "what-is-declared-knows-no-engine: config/keys.ts → engine/leaf.ts",
    ]);
    for (const { name } of rules) expect(found.join("\n"), "has a planted arrow").to.contain(`${name}: `);
  });
});

/** Folders that hold more files of their own than this are read by nobody as a whole. */
const mostFiles = 20;

function crowded(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).length;
  const within = entries.filter((entry) => entry.isDirectory()).flatMap(({ name }) => crowded(join(folder, name)));
  return files > mostFiles ? [`${folder}: ${files} files`, ...within] : within;
}

describe("folders of code", () => {
  it(`have at most ${mostFiles} files each`, () => {
    expect(["engine", "resources", "provider", "scripts", "bench"].flatMap(crowded)).to.deep.equal([]);
  });
});

/** The longest file that is read as a whole, in lines. */
const longest = 300;
const folders = [
  "components",
  "config",
  "engine",
  "foundation",
  "resources",
  "provider",
  "spec",
  "scripts",
  "bench",
  "tests",
];

/** Lists of what was found and of what is altered; the tests of all gates, which wait for their turn. */
const listsOrNotYet = /^(scripts\/docs\/hardening\/\w+|tests\/engine\/drift\/columns)\.ts$/;

const lengthy = (folder: string, entries = readdirSync(join(root, folder), { withFileTypes: true })): string[] =>
  entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return lengthy(path);
    if (!/\.[cm]?ts$/.test(path) || listsOrNotYet.test(path)) return [];
    const lines = readFileSync(join(root, path), "utf8").split("\n").length - 1;
    return lines > longest ? [`${path}: ${lines} lines`] : [];
  });

describe("files of code and tests", () => {
  it(`15-7 have at most ${longest} lines each`, () =>
    expect(folders.flatMap((folder) => lengthy(folder))).to.deep.equal([]));
});
