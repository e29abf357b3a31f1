import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { meaningOf } from "../../../engine/module/files/meaning";
import { sourceHash } from "../../../engine/module/files/source";
import { parseFile } from "../../../engine/module/files/statements";
import { joined, readUp } from "../../../engine/module/files/up-files";
import { column, moduleOf, refusalOf, withEngine, type Parted, withAdmin } from "./harness";

const yaml = "objects:\n  table: [public.t, public.u]\n";
const down = "DROP TABLE public.u;\nDROP TABLE public.t;\n";
const tables = "CREATE TABLE public.t (id uuid PRIMARY KEY);\nCREATE TABLE public.u (id int);\n";
const keys = "ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users;\n";
const parts = (...texts: string[]): Parted["up"] =>
  Object.fromEntries(texts.map((text, i) => [`0${i + 1}_${"abc"[i]!}.sql`, text]));

describe("a module in parts", function () {
  this.timeout(60_000);

  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "guardian-up-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Writes files into the module's folder; a name that ends with / is an empty folder. */
  function write(files: Record<string, string>): void {
    for (const [file, text] of Object.entries(files)) {
      const path = join(folder, "900_t", file);
      mkdirSync(file.endsWith("/") ? path : dirname(path), { recursive: true });
      if (!file.endsWith("/")) writeFileSync(path, text);
    }
  }
  const shown = (file: string): string => join("sql/900_t", file);

  it("is its files in the order of their names", () => {
    write({ "up/02_b.sql": "b;\n", "up/01_z.sql": "z;\n", "up/03_a_1.sql": "a;\n" });
    expect(readUp(join(folder, "900_t"), shown)).to.deep.equal([
      { file: "sql/900_t/up/01_z.sql", text: "z;\n" },
      { file: "sql/900_t/up/02_b.sql", text: "b;\n" },
      { file: "sql/900_t/up/03_a_1.sql", text: "a;\n" },
    ]);
  });

  it("is one file where that is enough", () => {
    write({ "up.sql": "a" });
    expect(readUp(join(folder, "900_t"), shown)).to.deep.equal([{ file: "sql/900_t/up.sql", text: "a" }]);
  });

  const form =
    "up/ holds files named 01_name.sql, 02_name.sql and so on: small letters, digits and _, numbered without a gap; " +
    "rename what is there, or take it away";
  const either = "a module has either up.sql or a folder up/; this one has";
  const strange = "a folder up/ holds what is no part of its module";
  const numbers = "the parts in up/ are not numbered 01, 02, 03 …:";
  const refused: Record<string, [string[], string, string, string]> = {
    both: [["up.sql", "up/01_a.sql"], `${either} both`, "sql/900_t", "take away the one that is out of date"],
    neither: [["down.sql"], `${either} neither`, "sql/900_t", "put it back"],
    "no part": [["up/"], "a folder up/ is empty", "sql/900_t/up", form],
    "a stray file and a stray folder": [
      ["up/01_a.sql", "up/notes.md", "up/02_b.sql/"],
      strange,
      "sql/900_t/up/02_b.sql, sql/900_t/up/notes.md",
      form,
    ],
    "an editor's copy": [["up/01_a.sql", "up/.01_a.sql.swp"], strange, "sql/900_t/up/.01_a.sql.swp", form],
    "a capital letter": [["up/01_A.sql"], strange, "sql/900_t/up/01_A.sql", form],
    "one digit": [["up/1_a.sql"], strange, "sql/900_t/up/1_a.sql", form],
    "a missing part": [["up/01_a.sql", "up/03_c.sql"], `${numbers} 02 should come here`, "sql/900_t/up/03_c.sql", form],
    "a missing first part": [["up/02_b.sql"], `${numbers} 01 should come here`, "sql/900_t/up/02_b.sql", form],
    "one number twice": [
      ["up/01_a.sql", "up/02_b.sql", "up/02_c.sql"],
      `${numbers} 03 should come here`,
      "sql/900_t/up/02_c.sql",
      form,
    ],
  };
  for (const [what, [files, said, where, todo]] of Object.entries(refused)) {
    it(`is refused with ${what}`, async () => {
      write(Object.fromEntries(files.map((file) => [file, "SELECT 1;\n"])));
      const work = Promise.resolve().then(() => readUp(join(folder, "900_t"), shown));
      const error = await refusalOf(work);
      expect([error.what, error.where, error.todo]).to.deep.equal([said, where, [todo]]);
    });
  }

  it("is recorded as one script of the same statements, however a part ends", async () => {
    const texts = [
      "-- é\nSELECT 1",
      "SELECT 2; -- two",
      "SELECT 3 /* three;",
      "",
      "-- only a comment",
      "SELECT '4;'\n",
    ];
    texts[2] = `${texts[2]!} */`;
    const files = texts.map((text, i) => ({ file: `${i}`, text }));
    const statements = await parseFile("f", joined(files));
    expect(statements.map(({ text }) => text)).to.deep.equal([
      "SELECT 1",
      "SELECT 2",
      "SELECT 3 /* three; */",
      "SELECT '4;'",
    ]);
    expect(joined(files.slice(0, 1)), "one file as it is").to.equal(texts[0]);
  });

  it("means what the same statements mean in one file, and something else in another order", async () => {
    const up = `-- a\n${tables}${keys}`;
    const one = await moduleOf("900_t", { yaml, up });
    expect((await moduleOf("900_t", { yaml, up: parts(tables, keys) })).meaning).to.equal(one.meaning);
    expect((await moduleOf("900_t", { yaml, up: parts(tables, "", keys) })).meaning).to.equal(one.meaning);
    expect((await moduleOf("900_t", { yaml, up: parts(keys, tables) })).meaning).not.to.equal(one.meaning);
    expect(await meaningOf("f", joined((await moduleOf("900_t", { yaml, up: parts(tables, keys) })).up))).to.equal(
      await meaningOf("f", up),
    );
  });

  it("does not carry a statement from one part into the next", async () => {
    const said = await refusalOf(moduleOf("900_t", { yaml, up: parts("CREATE TABLE public.t\n", "(id int);\n") }));
    expect(said.what).to.equal("the file is not valid SQL: syntax error at end of input");
    expect(said.where).to.match(/^sql\/900_t\/up\/01_a\.sql:2:1\n/);
  });

  it("shows part, line and caret where it does not parse, in the body of a function too", async () => {
    const said = await refusalOf(moduleOf("900_t", { yaml, up: parts(tables, "-- é 😀\nSELECT 1;\n  SELEC 2;\n") }));
    expect(said.where).to.equal("sql/900_t/up/02_b.sql:3:3\n    2 | SELECT 1;\n    3 |   SELEC 2;\n          ^");
    const body = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRUN 1;\nEND\n$$;\n";
    const inside = await refusalOf(moduleOf("900_t", { yaml, up: parts(tables, body) }));
    expect(inside.where).to.equal("sql/900_t/up/02_b.sql:3:3\n    2 | BEGIN\n    3 |   RETRUN 1;\n          ^");
    const ends = await refusalOf(moduleOf("900_t", { yaml, up: parts(tables, "SELECT 1;\n\nCOMMIT;\n") }));
    expect(ends.where).to.match(/^sql\/900_t\/up\/02_b\.sql:3:1\n/);
  });

  it("the hash of the files sees a part that is changed, added, removed, renamed or moved", () => {
    write({ "up/01_a.sql": "1;", "up/02_b.sql": "2;" });
    const [a, b, c] = ["01_a.sql", "02_b.sql", "03_c.sql"].map((name) => join(folder, "900_t", "up", name));
    const seen = new Set<string | undefined>();
    const look = (): number => seen.add(sourceHash(["900_t"], folder)).size;
    expect(look()).to.equal(1);
    expect(look(), "the same").to.equal(1);
    writeFileSync(b!, "3;");
    expect(look(), "changed").to.equal(2);
    writeFileSync(c!, "");
    expect(look(), "added, and empty").to.equal(3);
    rmSync(c!);
    expect(look(), "removed").to.equal(3);
    rmSync(b!);
    expect(look(), "one removed").to.equal(4);
    rmSync(a!);
    write({ "up/01_z.sql": "1;" });
    expect(look(), "renamed").to.equal(5);
    write({ "up/more/": "" });
    expect(look(), "an empty folder, which the reader refuses").to.equal(6);
    write({ "up/more/01_z.sql": "1;" });
    expect(look(), "a file in it").to.equal(7);
    expect(seen.has(undefined), "every one is a hash").to.equal(false);
  });

  it("is applied in order, recorded whole, and what touches v6 in the last part is done under the locks", () =>
    withAdmin(async (engine, admin) => {
      const module = await moduleOf("900_t", {
        yaml: `locks: [auth.users]\n${yaml}`,
        up: parts(tables, keys),
        down,
      });
      await engine.apply(module);
      const [up] = await column(admin, "SELECT up FROM guardian_migration.module");
      expect(up).to.equal(`${tables}${keys}`);
      const manifest = await column(admin, "SELECT manifest::text FROM guardian_migration.module");
      expect(manifest[0], "the text is not there twice").not.to.contain("CREATE TABLE");
      await engine.undo("900_t");
      await engine.apply(
        await moduleOf("900_t", { yaml: `locks: [auth.users]\n${yaml}`, up: `${tables}${keys}`, down }),
      );
    }));

  it("names the part, line and column of what the server refuses, before and under the locks", () =>
    withEngine(async (engine) => {
      const locks = `locks: [auth.users]\n${yaml}`;
      const place = async (...texts: string[]): Promise<string> => {
        const said = await refusalOf(engine.apply(await moduleOf("900_t", { yaml: locks, up: parts(...texts), down })));
        return said.where ?? "";
      };
      expect(await place(tables, "-- 😀\n\nSELECT nothing\n  FROM public.t;\n", keys)).to.equal(
        "sql/900_t/up/02_b.sql:3:8\n    2 | \n    3 | SELECT nothing\n               ^",
      );
      expect(await place(tables, "SELECT 1;\nALTER TABLE public.t DROP COLUMN nothing;\n", keys)).to.equal(
        "sql/900_t/up/02_b.sql:2: ALTER TABLE public.t DROP COLUMN nothing",
      );
      expect(
        await place(tables, keys, "SELECT 1;\n\nCREATE VIEW public.v AS SELECT nothing FROM public.t;\n"),
      ).to.match(/^sql\/900_t\/up\/03_c\.sql:3:32\n/);
      expect(await place(tables, keys, "\nALTER TABLE public.t DROP COLUMN nothing;\n")).to.equal(
        "sql/900_t/up/03_c.sql:2: ALTER TABLE public.t DROP COLUMN nothing",
      );
    }));
});
