import { expect } from "chai";
import { ESLint, Linter } from "eslint";
import { readdirSync } from "node:fs";
import { join } from "node:path";

/** What lint says of an import in a file, by the rule that holds the arrows alone. */
async function said(file: string, imported: string): Promise<string | undefined> {
  const eslint = new ESLint({ cwd: join(__dirname, "..") });
  const config = (await eslint.calculateConfigForFile(file)) as { rules: Linter.RulesRecord };
  const rule = config.rules["no-restricted-imports"];
  const rules = rule === undefined ? {} : { "no-restricted-imports": rule };
  return new Linter().verify(`import "${imported}";`, [{ rules }])[0]?.message;
}

describe("arrows go one way", function () {
  this.timeout(30_000);
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
    ["index.ts", "./engine/base/errors", "what the program declares reaches neither pg nor engine/"],
  ];
  for (const [file, imported, why] of refused) {
    it(`${file} may not import ${imported}`, async () => expect(await said(file, imported)).to.contain(why));
  }

  const allowed = [
    ["spec/check.ts", "./shape"],
    ["engine/module/files/manifest.ts", "../../../spec"],
    ["engine/migrate/phases/cut-over.ts", "../rows/proof"],
    ["provider/check.ts", "../spec"],
    ["config/index.ts", "../spec"],
    ["resources/main.ts", "../provider/serve"],
    ["resources/ledger/handle.ts", "../../engine/database"],
  ] as const;
  for (const [file, imported] of allowed) {
    it(`${file} may import ${imported}`, async () => expect(await said(file, imported)).to.equal(undefined));
  }
});

/** Folders that hold more files of their own than this are read by nobody as a whole. */
const mostFiles = 20;

function crowded(folder: string): string[] {
  const entries = readdirSync(join(__dirname, "..", folder), { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).length;
  const within = entries.filter((entry) => entry.isDirectory()).flatMap(({ name }) => crowded(join(folder, name)));
  return files > mostFiles ? [`${folder}: ${files} files`, ...within] : within;
}

describe("folders of code", () => {
  it(`have at most ${mostFiles} files each`, () => {
    expect(["engine", "resources", "provider", "scripts", "bench"].flatMap(crowded)).to.deep.equal([]);
  });
});
