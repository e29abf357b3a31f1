import { expect } from "chai";
import { loadModule } from "../../../engine/module/files/manifest";
import type { V6 } from "../../support/postgres";
import { catalogue } from "../../support/modules";
import { moduleOf, refusalOf, withEngine, type Engine, type Files } from "./harness";

const yaml = "objects:\n  table: [public.t]\n";
const up = "CREATE TABLE public.t (id int PRIMARY KEY, note text);\n";
const down = "DROP TABLE public.t;\n";

/** A module that fails, and what stands afterwards: nothing, and the reason in the ledger; then it is mended and works. */
async function failsThenWorks(engine: Engine, db: V6, files: Files, mended: Files = { yaml, up }): Promise<string> {
  const admin = await db.connect("admin");
  const before = await catalogue(admin);
  const error = await refusalOf(engine.apply(await moduleOf("900_t", files)));
  expect(await catalogue(admin), "nothing is left").to.deep.equal(before);
  expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "planned" });
  const [step] = (await engine.steps()).filter((found) => found.kind === "SqlModule");
  const { what, where, sqlstate } = error;
  expect(step?.detail["error"]).to.deep.equal({ what, where: where ?? null, sqlstate: sqlstate ?? null });
  await engine.apply(await moduleOf("900_t", mended));
  expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
  return error.message;
}

describe("applying a module", function () {
  this.timeout(60_000);

  it("a file that would end the transaction is refused as it is read", async () => {
    for (const statement of ["BEGIN", "COMMIT", "ROLLBACK AND CHAIN", "SAVEPOINT a"]) {
      const said = await refusalOf(moduleOf("900_t", { yaml, up: `-- é\n${up}  ${statement};\n` }));
      expect(said.what).to.match(/^BEGIN, COMMIT, ROLLBACK and SAVEPOINT are the engine's/);
      expect(said.where).to.match(/^sql\/900_t\/up\.sql:3:3\n/);
    }
  });

  it("a broken statement is named by file, line and column, and nothing of the module is left", () =>
    withEngine(async (engine, db) => {
      const broken = `-- é 😀 /* not nested\n${up}\n-- and\n/* two\nlines */ ALTER TABLE public.t\n  ADD CHECK (nte <> '');`;
      expect(await failsThenWorks(engine, db, { yaml, up: broken })).to.equal(
        'PostgreSQL refused: column "nte" does not exist (SQLSTATE 42703) [postgres-refused]\n' +
          `  where: sql/900_t/up.sql:6: ALTER TABLE public.t ADD CHECK (nte <> '')\n` +
          "  to do: mend the file; the transaction was rolled back and nothing of it is left",
      );
    }));

  it("so is one whose place the server tells", () =>
    withEngine(async (engine, db) => {
      const broken = `${up}-- 😀\nSELECT 'é😀',\n       nothing FROM public.t;`;
      expect(await failsThenWorks(engine, db, { yaml, up: broken })).to.equal(
        'PostgreSQL refused: column "nothing" does not exist (SQLSTATE 42703) [postgres-refused]\n' +
          "  where: sql/900_t/up.sql:4:8\n    3 | SELECT 'é😀',\n    4 |        nothing FROM public.t\n               ^\n".replace(
            "public.t\n",
            "public.t;\n",
          ) +
          "  to do: mend the file; the transaction was rolled back and nothing of it is left",
      );
    }));

  it("so is one among those that run together while v6 is locked", () =>
    withEngine(async (engine, db) => {
      const withKey = `locks: [auth.users]\n${yaml}`;
      const broken = `CREATE TABLE public.t (id uuid PRIMARY KEY);
INSERT INTO public.t VALUES (gen_random_uuid());
ALTER TABLE public.t
  ADD CONSTRAINT t_id_key UNIQUE (id),
  ADD FOREIGN KEY (id) REFERENCES auth.users;
COMMENT ON TABLE public.t IS 'it''s $$';`;
      const whole =
        "CREATE TABLE public.t (id uuid PRIMARY KEY);\nALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users;";
      const said = await failsThenWorks(engine, db, { yaml: withKey, up: broken }, { yaml: withKey, up: whole });
      expect(said).to.match(
        /^PostgreSQL refused: insert or update on table "t" violates foreign key constraint "t_id_fkey" \(SQLSTATE 23503\) \[postgres-refused\]\n {2}where: sql\/900_t\/up\.sql:3: ALTER TABLE public\.t ADD CONSTRAINT t_id_key UNIQUE \(id\).*, public\.t\.t_id_fkey\n/,
      );
    }));

  it("and in the second of them, with its column", () =>
    withEngine(async (engine, db) => {
      const withKey = `locks: [auth.users]\n${yaml}`;
      const key = "ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users;\n";
      const broken = `CREATE TABLE public.t (id uuid PRIMARY KEY);\n${key}-- 😀\n\nCREATE VIEW public.v AS\n  SELECT nothing FROM public.t;`;
      const whole = `CREATE TABLE public.t (id uuid PRIMARY KEY);\n${key}`;
      const said = await failsThenWorks(engine, db, { yaml: withKey, up: broken }, { yaml: withKey, up: whole });
      expect(said).to.match(
        /^PostgreSQL refused: column "nothing" does not exist \(SQLSTATE 42703\) \[postgres-refused\]\n {2}where: sql\/900_t\/up\.sql:6:10\n/,
      );
    }));

  it("a failing verify.sql rolls it back, and is named with its line", () =>
    withEngine(async (engine, db) => {
      const verify = `-- c\nDO $$ BEGIN END $$; DO $$ BEGIN END $$; DO $$ BEGIN END $$;\nDO $$\nBEGIN\n  RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'row security is off on public.t';\nEND\n$$;`;
      expect(await failsThenWorks(engine, db, { yaml, up, verify })).to.match(
        /^PostgreSQL refused: row security is off on public\.t \(SQLSTATE GM001\) \[postgres-refused\]\n {2}where: sql\/900_t\/verify\.sql:3: DO/,
      );
    }));

  it("objects that module.yaml lists and up.sql does not make are refused", () =>
    withEngine(async (engine, db) => {
      const more = "objects:\n  table: [public.t]\n  function: [public.f()]\n  index: [public.t_note_idx]\n";
      expect(await failsThenWorks(engine, db, { yaml: more, up })).to.equal(
        "module.yaml lists objects that the module did not make [manifest-differs]\n" +
          "  where: sql/900_t/module.yaml: listed and not made: function public.f(), index public.t_note_idx\n" +
          "  to do: make the list and the file agree\n" +
          "     or: what was there before the module ran is not its own: leave it out of the list",
      );
    }));

  it("a module that touches v6 before the bounded time, or without saying so, is refused", () =>
    withEngine(async (engine, db) => {
      const key = "CREATE TABLE public.t (id uuid PRIMARY KEY REFERENCES auth.users);";
      expect(await failsThenWorks(engine, db, { yaml, up: key })).to.match(
        /^v6 relations are locked .*\n {2}where: auth\.users \(ShareRowExclusiveLock\)\n {2}to do: list them under locks in module\.yaml/,
      );
    }).then(() =>
      withEngine(async (engine, db) => {
        const withLock = `locks: [auth.users]\n${yaml}`;
        const hidden = `CREATE TABLE public.t (id uuid PRIMARY KEY);
DO $$ BEGIN EXECUTE 'ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users'; END $$;`;
        expect(await failsThenWorks(engine, db, { yaml: withLock, up: hidden })).to.match(
          /^v6 relations are locked before the time that is bounded \[manifest-differs\]\n {2}where: auth\.users \(ShareRowExclusiveLock\)/,
        );
      }),
    ));

  it("one that locks one v6 table and not the other is refused as well", () =>
    withEngine(async (engine, db) => {
      const some = `locks: [auth.users]\n${yaml}`;
      const both = `CREATE TABLE public.t (id uuid PRIMARY KEY);
ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users;
ALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES public.documents;`;
      expect(await failsThenWorks(engine, db, { yaml: some, up: both })).to.match(
        /^v6 relations are locked that module\.yaml does not list under locks \[manifest-differs\]\n {2}where: public\.documents \(ShareRowExclusiveLock\)/,
      );
    }));

  it("what is done is adopted and not done again; an edited module is refused with the ways out", () =>
    withEngine(async (engine) => {
      const first = await engine.apply(await moduleOf("900_t", { yaml, up, down }));
      const again = await engine.apply(await moduleOf("900_t", { yaml, up: `-- the same\n${up}` }));
      expect(again).to.deep.equal({ applyId: first.applyId, restored: 0n, beaten: 0n, leftOut: 0n, refused: [] });
      const edited = await moduleOf("900_t", { yaml, up: up.replace("note", "remark"), down });
      const said = await refusalOf(engine.apply(edited));
      expect(said.what).to.equal("up.sql (or up/), indexes.sql or module.yaml of 900_t changed after it was applied");
      expect(said.todo).to.have.length(3);
      expect((await engine.steps()).filter((step) => step.kind === "SqlModule")).to.have.length(1);
      // One of the ways out: back, and up with the new text.
      await engine.undo("900_t");
      await engine.apply(edited);
    }));

  it("a changed list of objects or locks counts as an edit, a changed title does not", () =>
    withEngine(async (engine) => {
      await engine.apply(await moduleOf("900_t", { yaml, up }));
      const locked = await moduleOf("900_t", { yaml: `locks: [auth.users]\n${yaml}`, up });
      expect((await refusalOf(engine.apply(locked))).what).to.match(/changed after it was applied$/);
      const titled = await moduleOf("900_t", { yaml, up });
      expect((await moduleOf("900_t", { yaml: `${yaml}\n`, up })).meaning).to.equal(titled.meaning);
    }));

  it("a module whose requirement is not there is refused before anything is written", () =>
    withEngine(async (engine) => {
      const said = await refusalOf(
        engine.apply(await moduleOf("900_t", { yaml: `requires: [000_audit_log]\n${yaml}`, up })),
      );
      expect(said.what).to.equal("module 900_t needs 000_audit_log, which this database does not have");
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({});
      await engine.apply(await loadModule("000_audit_log"));
      await engine.apply(await moduleOf("900_t", { yaml: `requires: [000_audit_log]\n${yaml}`, up }));
    }));
});
