import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import { loadMigration } from "../../engine/migrate/definition/migration";
import { definition } from "../../engine/migrate/definition/shape";
import { newManifestOf } from "../../engine/module/files/manifest-shape";
import { readManifest } from "../../engine/module/files/manifest";
import { readYaml } from "../../engine/base/yaml";
import { refusedBy } from "../support/refused";

const refusal = (read: () => unknown): string => refusedBy(read).message;

const module = "name: 004_x\ntitle: A test's.\n";
const ofModule = (yaml: string): string => refusal(() => readManifest("sql/004_x/module.yaml", yaml, "004_x"));
const migration = `title: A test's.
module: 004_x
from: auth.users
key: [id]
target: public.t
targetKey: [patient_id]
columns: [patient_id, granted, purpose]
match: [patient_id, purpose]
sources:
  - file: select.sql
    follows: [{ table: auth.users, key: [id], columns: [created_at] }]
`;
const ofMigration = (yaml: string): string => refusal(() => readYaml("sql/data/x/migration.yaml", yaml, definition));

/** The lines between "the file has …" and "where: …". */
const listed = (message: string): string[] =>
  message
    .split("\n")
    .filter((line) => line.startsWith("    line "))
    .map((line) => line.trim());

describe("module.yaml and migration.yaml", () => {
  it("say all that is wrong at once, with line, key, and the nearest that is known", () => {
    const yaml = [
      "name: 005_x",
      "requires: 000_audit_log",
      "# a comment",
      "lock: [auth.users]",
      "objects:",
      "  tabel:",
      "    - public.a",
      "  view:",
      "    - public.v",
      "    - {}",
      "archive:",
      "  - { table: public.b, subject: id }",
      "  - table: public.b",
      "  - public.c",
    ].join("\n");
    expect(ofModule(yaml)).to.equal(
      [
        "the file has 8 errors [file-invalid]:",
        '    line 1: name is "005_x": it must be the folder\'s name, 004_x',
        "    line 1: title is missing: it must be a sentence",
        "    line 2: requires does not fit: it must be a list of modules",
        "    line 4: lock is not known: the nearest known key is locks",
        "    line 6: objects.tabel is not known: the nearest known key is objects.table",
        "    line 10: objects.view has something else at [1]: it must be a list of objects",
        "    line 13: archive[1].subject is missing: it must be a column, or none",
        "    line 14: archive has something else at [2]: it must be a list of {table, subject}",
        "  where: sql/004_x/module.yaml",
        "  to do: mend the file",
      ].join("\n"),
    );
  });

  const modules: [what: string, yaml: string, errors: string[]][] = [
    [
      "nothing",
      "",
      ["line 1: the whole is no object: it must be an object with name, title, requires, locks, objects, archive"],
    ],
    [
      "a list",
      "- a",
      ["line 1: the whole is no object: it must be an object with name, title, requires, locks, objects, archive"],
    ],
    ["an empty title", "name: 004_x\ntitle: ''", ["line 2: title does not fit: it must be a sentence"]],
    [
      "objects that are a list",
      `${module}objects: [public.a]`,
      [
        "line 3: objects is no object: it must be an object with table, view, sequence, type, function, index, trigger, policy",
      ],
    ],
    [
      "an archived table that it does not make",
      `${module}objects: { table: [public.a, public.notes] }\narchive:\n  - { subject: id, table: public.note }`,
      ["line 5: archive[0].table is public.note, none of its tables; the nearest is public.notes"],
    ],
    [
      "an archived table of a module that makes none",
      `${module}archive: [{ table: public.a, subject: none }]`,
      ["line 3: archive[0].table is public.a, none of its tables"],
    ],
    [
      "tables that cannot be read, and nothing that follows from them",
      `${module}objects: { table: [1] }\narchive: [{ table: public.a, subject: none }]`,
      ["line 3: objects.table has something else at [0]: it must be a list of objects"],
    ],
    ["a key twice", `${module}locks: []\nlocks: []`, ["line 4: not valid YAML: Map keys must be unique"]],
    ["an alias of nothing", `${module}locks: *a`, ["line 3: *a is an alias, which is not taken here"]],
    ["a key that is no text", `${module}[a]: b`, ["line 3: not valid YAML: With stringKeys, all keys must be strings"]],
    [
      "a key that every object has",
      `${module}constructor: b`,
      ["line 3: constructor is not known: the nearest known key is objects"],
    ],
  ];
  for (const [what, yaml, errors] of modules) {
    it(`module.yaml: ${what} is refused`, () => expect(listed(ofModule(yaml))).to.deep.equal(errors));
  }

  it("16-16 module.yaml of a module that is not applied has no name that can be none, nor anything twice", () => {
    const long = `public.${"x".repeat(64)}`;
    const yaml = [
      "name: 004_x",
      "title: A test's.",
      "requires: [000_a, 004_x, 005_y, 000_a]",
      "locks:",
      "  - auth.users",
      "  - public.t",
      "  - users",
      "  - auth.users",
      "objects:",
      "  table:",
      "    - public.t",
      "    - t",
      "    - public.t",
      "    - 'public.\"T\"'",
      `    - ${long}`,
      "    - public.My table",
      "  function: [public.f(integer), public.g, f()]",
      "  trigger: [told on public.t, told, a b on documents]",
      "archive:",
      "  - { table: public.t, subject: none }",
      "  - { table: public.t, subject: none }",
    ].join("\n");
    const strict = listed(refusal(() => readYaml("sql/004_x/module.yaml", yaml, newManifestOf("004_x"))));
    const name = "must be a name with its schema, without quotes, of at most 63 bytes each: public.t";
    expect(strict).to.deep.equal([
      "line 3: requires[1] is the module itself",
      "line 3: requires[2] is 005_y, which comes after it",
      "line 3: requires[3] is 000_a, which stands there twice",
      "line 6: locks[1] is public.t, a table of its own and none of v6",
      `line 7: locks[2] ${name}`,
      "line 8: locks[3] is auth.users, which stands there twice",
      `line 12: objects.table[1] ${name}`,
      "line 13: objects.table[2] is public.t, which stands there twice",
      `line 14: objects.table[3] ${name}`,
      `line 15: objects.table[4] ${name}`,
      "line 17: objects.function[1] must be a function with its schema and the types of its arguments: public.f(integer, text)",
      "line 17: objects.function[2] must be a function with its schema and the types of its arguments: public.f(integer, text)",
      "line 18: objects.trigger[1] must be a trigger on its table: told on public.t",
      "line 18: objects.trigger[2] must be a trigger on its table: told on public.t",
      "line 21: archive[1] is public.t, which stands there twice",
    ]);
    // One that an older release applied is read as before.
    expect(readManifest("sql/004_x/module.yaml", yaml, "004_x").requires).to.have.length(4);
  });

  const changed = (...changes: [string, string][]): string =>
    changes.reduce((text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`the file has no ${from}`);
      return text.replace(from, to);
    }, migration);
  const migrations: [what: string, yaml: string, errors: string[]][] = [
    [
      "everything missing but one wrong key",
      "titel: x",
      [
        "line 1: title is missing: it must be a sentence",
        "line 1: module is missing: it must be a module",
        "line 1: from is missing: it must be a relation with its schema",
        "line 1: key is missing: it must be a list of columns, not empty",
        "line 1: target is missing: it must be a relation with its schema",
        "line 1: targetKey is missing: it must be a list of columns, not empty",
        "line 1: columns is missing: it must be a list of columns, not empty",
        "line 1: match is missing: it must be a list of columns, not empty",
        "line 1: sources is missing: it must be a list of sources, not empty",
        "line 1: titel is not known: the nearest known key is title",
      ],
    ],
    [
      "no column of the key",
      changed(["key: [id]", "key: []"]),
      ["line 4: key does not fit: it must be a list of columns, not empty"],
    ],
    [
      "no source",
      changed(["  - file: select.sql\n    follows: [{ table: auth.users, key: [id], columns: [created_at] }]", "  []"]),
      ["line 9: sources does not fit: it must be a list of sources, not empty"],
    ],
    [
      "keys of different lengths",
      changed(["key: [id]", "key: [id, created_at]"]),
      [
        "line 6: targetKey has 1 column: it must have as many as key, 2",
        "line 11: sources[0].follows[0].key has 1 column: it must have as many as key, 2",
      ],
    ],
    [
      "columns that are not written",
      changed(
        ["targetKey: [patient_id]", "targetKey: [patient]"],
        ["match: [patient_id, purpose]", "match: [patient, grantd]"],
      ),
      [
        "line 6: targetKey[0] is patient, none of columns; the nearest is patient_id",
        "line 8: match[0] is patient, none of columns; the nearest is patient_id",
        "line 8: match[1] is grantd, none of columns; the nearest is granted",
      ],
    ],
    [
      "a match without the key",
      changed(["match: [patient_id, ", "match: ["]),
      ["line 8: match lacks patient_id: every column of targetKey must be in it"],
    ],
    [
      "a pace that is none",
      `${migration}batchMs: 5\nworkers: 9\nslowdown: -0.1\n`,
      [
        "line 12: batchMs is 5: it must be a number from 10 to 1000",
        "line 13: workers is 9: it must be a whole number from 1 to 8",
        "line 14: slowdown is -0.1: it must be a number from 0 to 100",
      ],
    ],
    [
      "half a worker, and a number as text",
      `${migration}workers: 1.5\nbatchMs: "300"`,
      [
        "line 12: workers is 1.5: it must be a whole number from 1 to 8",
        "line 13: batchMs is no number: it must be a number from 10 to 1000",
      ],
    ],
    [
      "a file elsewhere",
      changed(["file: select.sql", "file: ../x.sql"]),
      ["line 10: sources[0].file does not fit: it must be a .sql file of this folder"],
    ],
    [
      "an unknown key of what it follows",
      changed(["columns: [created_at] }", "colums: [created_at] }"]),
      ["line 11: sources[0].follows[0].colums is not known: the nearest known key is sources[0].follows[0].columns"],
    ],
  ];
  for (const [what, yaml, errors] of migrations) {
    it(`migration.yaml: ${what} is refused`, () => expect(listed(ofMigration(yaml))).to.deep.equal(errors));
  }

  it("migration.yaml: a file that is not there is refused, and nothing of this machine is said", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian-data-"));
    try {
      mkdirSync(join(folder, "x"));
      writeFileSync(join(folder, "x", "migration.yaml"), migration);
      const said = await loadMigration("x", folder).catch((err: unknown) => err);
      expect(said).to.be.instanceOf(GuardianError);
      expect((said as Error).message).to.equal(
        "a file that migration.yaml names is missing [file-invalid]\n  where: sql/data/x/select.sql\n" +
          "  to do: put it back, or mend its name in migration.yaml",
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("take what they leave out as nothing, and the pace as it is by default", () => {
    expect(readManifest("f", module, "004_x")).to.deep.equal({
      name: "004_x",
      title: "A test's.",
      requires: [],
      locks: [],
      objects: [],
      archive: [],
    });
    expect(readYaml("f", migration, definition)).to.deep.include({ batchMs: 300, workers: 2, slowdown: 0.1 });
  });
});
