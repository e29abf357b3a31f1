import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { expect } from "chai";
import { resourceKinds } from "../../../engine/ledger/kinds";
import { ledgerSchema, ledgerTableNames } from "../../../engine/ledger/schema";
import { plugin } from "../../../resources/registry";
import { root } from "../../support/plugin";

/**
 * Ways to name a table of the ledger: by its schema's constant, by that under another name, by the schema written out (as
 * our three settings of a session are, and nothing else), by the schema's constant with the table's name behind it, or by
 * what is the ledger's own.
 */
const ways = [
  /\bledgerSchema\b\s*\)?\s*(\}"?\s*\.|\+)/,
  /\bledgerSchema (as|=)/,
  new RegExp(`${ledgerSchema}(?!\\.(probe|locked_at|milliseconds)\\b)`, "i"),
  new RegExp(`\\bledgerSchema\\b[^;]{0,40}["'\`](${ledgerTableNames.join("|")})["'\`]`),
  /\b((ledger|step|module)Table|ledgerTableNames)\b/,
];

/** @returns the lines, from 1, at which a text names a table of the ledger: a way may pass the end of a line */
const linesThatName = (text: string): number[] =>
  ways.flatMap((way) => {
    const all = text.matchAll(new RegExp(way, `g${way.flags}`));
    return [...all].map(({ index }) => text.slice(0, index).split("\n").length);
  });

const names = (text: string): boolean => linesThatName(text).length > 0;

function* filesOf(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesOf(path);
    else if (/\.([cm]?[jt]s|sql|ya?ml)$/.test(entry.name)) yield path;
  }
}

describe("the ledger's tables", () => {
  it("are named in engine/ledger and nowhere else; the modules' SQL, which runs without us, aside", () => {
    const folders = ["engine", "resources", "provider", "components", "scripts", "bench"];
    const files = folders.flatMap((folder) => [...filesOf(join(root, folder))]);
    expect(files.length).to.be.greaterThan(150);
    // What an erasure leaves in each column is a page of the docs: data, and never SQL.
    const page = join("scripts", "docs", "erasure", "list.ts");
    const strangers = files.filter((file) => {
      const path = relative(root, file);
      return !path.startsWith(join("engine", "ledger") + sep) && path !== page;
    });
    const found = strangers.flatMap((file) =>
      linesThatName(readFileSync(file, "utf8")).map((line) => `${relative(root, file)}:${line}`),
    );
    expect(found).to.deep.equal([]);
  });

  it("are found however they are named", () => {
    for (const text of [
      "`SELECT 1 FROM ${ledgerSchema}.step`",
      "`SELECT 1 FROM ${ledgerSchema}\n.step`",
      '[ledgerSchema, "step"].join(".")',
      "format('%I.%I', ledgerSchema, 'reject')",
      "`${escapeIdentifier(ledgerSchema)}.${name}`",
      'ledgerSchema + ".step"',
      "'guardian_migration.reject'",
      'FROM "guardian_migration"."step"',
      "SELECT 1 FROM GUARDIAN_MIGRATION.STEP",
      '["guardian_migration", "step"].join(".")',
      '"guardian_migration" + ".step"',
      'import { ledgerSchema as s } from "../ledger/schema"',
      'import { stepTable } from "../ledger/steps"',
      'import { ledgerTableNames } from "../ledger/schema"',
    ])
      expect(names(text), text).to.equal(true);
    for (const text of ["excludeSchemas: [ledgerSchema],", "set_config('guardian_migration.locked_at', $1, true)"])
      expect(names(text), text).to.equal(false);
  });

  it("know every kind of resource that there is", () => {
    const kinds = plugin.resources.map(({ spec }) => spec.kind);
    expect(kinds.sort()).to.deep.equal([...resourceKinds].sort());
  });
});
