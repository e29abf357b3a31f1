import { expect } from "chai";
import type { Client } from "pg";
import { stamped } from "../../../engine/module/stamp";
import { recordTexts } from "../../../engine/module/undo";
import { catalogue } from "../../support/modules";
import { column, majors, moduleOf, refusalOf, withEngine, type Engine, type Files } from "./harness";

/** A module with all that can hang on a table. */
const files: Files = {
  yaml: `locks: [auth.users]
objects:
  table: [public.t, public.u, public.empty]
  view: [public.v, public.vv, public.mv]
  sequence: [public.s]
  function: ["public.f(integer)", public.touched()]
  index: [public.t_note_idx, public.t_f_idx]
  trigger: [t_touched on public.t, u_touched on public.u]
  policy: [t_own on public.t]
archive:
  - { table: public.t, subject: person }
  - { table: public.u, subject: none }
  - { table: public.empty, subject: person }
`,
  up: `CREATE FUNCTION public.f(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
CREATE FUNCTION public.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SEQUENCE public.s;
CREATE TABLE public.t (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  person uuid,
  actor uuid,
  note text NOT NULL DEFAULT 'n' CONSTRAINT t_note_check CHECK (note <> ''),
  called int DEFAULT public.f(1) CONSTRAINT t_called_check CHECK (public.f(called) > 0),
  counted bigint DEFAULT nextval('public.s'),
  made int GENERATED ALWAYS AS (public.f(1)) STORED,
  parent int CONSTRAINT t_parent_fkey REFERENCES public.t ON DELETE SET NULL
);
CREATE INDEX t_note_idx ON public.t (note);
CREATE INDEX t_f_idx ON public.t (public.f(called));
CREATE TABLE public.u (id serial PRIMARY KEY, t int REFERENCES public.t ON DELETE CASCADE, EXCLUDE (t WITH =));
CREATE TABLE public.empty (person uuid PRIMARY KEY);
CREATE VIEW public.v AS SELECT * FROM public.t;
CREATE VIEW public.vv AS SELECT v.id, u.id AS u FROM public.v JOIN public.u ON u.t = v.id;
CREATE MATERIALIZED VIEW public.mv AS SELECT count(*) FROM public.vv;
CREATE TRIGGER t_touched BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.touched();
CREATE TRIGGER u_touched BEFORE UPDATE ON public.u FOR EACH ROW EXECUTE FUNCTION public.touched();
ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY t_own ON public.t TO authenticated USING (person = (SELECT auth.uid()) AND public.f(id) > 0);
GRANT SELECT (note), UPDATE (note) ON public.t TO authenticated, guardian_operator;
GRANT SELECT ON public.t TO service_role WITH GRANT OPTION;
ALTER TABLE public.t
  ADD CONSTRAINT t_person_fkey FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE,
  ADD CONSTRAINT t_actor_fkey FOREIGN KEY (actor) REFERENCES auth.users ON DELETE SET NULL;
ALTER TABLE public.empty ADD FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE;`,
  down: `DROP FUNCTION public.touched();
DROP FUNCTION public.f(integer);
DROP SEQUENCE public.s;`,
};

async function withRows(client: Client): Promise<void> {
  await client.query(`INSERT INTO public.t (person, actor) SELECT id, id FROM auth.users ORDER BY id LIMIT 3;
    INSERT INTO public.u (t) SELECT id FROM public.t`);
}

const key =
  "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'guardian_archive'::regnamespace ORDER BY 1";

async function applied(engine: Engine, client: Client, change: Partial<Files> = {}): Promise<void> {
  await engine.apply(await moduleOf("900_t", { ...files, ...change }));
  await withRows(client);
}

describe("names in the archive", () => {
  it("carry the apply id, and stay within what PostgreSQL keeps, cut between characters, two long ones two", () => {
    expect(stamped("patient_consents", "12")).to.equal("patient_consents__12");
    const long = `${"é".repeat(30)}a`;
    expect(Buffer.byteLength(long)).to.equal(61);
    for (const name of [long, `${"x".repeat(60)}_1`, `${"x".repeat(60)}_2`, "😀".repeat(15)]) {
      expect(Buffer.byteLength(stamped(name, "123"))).to.be.within(58, 63);
      expect(stamped(name, "123")).to.match(/^(é+|x+|(😀)+)_[0-9a-f]{8}__123$/u);
    }
    expect(stamped(`${"x".repeat(60)}_1`, "1")).not.to.equal(stamped(`${"x".repeat(60)}_2`, "1"));
    expect(stamped("x".repeat(60), "1")).to.equal(`${"x".repeat(60)}__1`);
  });
});

describe("rolling a module back", function () {
  this.timeout(60_000);

  for (const major of majors) {
    describe(`on PostgreSQL ${major}`, () => {
      it("rows go to the archive, empty tables go, and nothing else is left", () =>
        withEngine(major, async (engine, db) => {
          const [client, admin] = [await db.connect(), await db.connect("admin")];
          const before = await catalogue(admin);
          await admin.query("CREATE PUBLICATION p; ALTER PUBLICATION p OWNER TO guardian_migrator");
          await applied(engine, client);
          await client.query("ALTER PUBLICATION p ADD TABLE public.t");
          await client.query("CREATE RULE quiet AS ON DELETE TO public.u DO ALSO NOTIFY u");
          await admin.query("SET ROLE service_role; GRANT SELECT ON public.t TO anon; RESET ROLE");
          expect(await engine.undo("900_t")).to.equal(6n);
          const archive = await column(
            client,
            `SELECT c.relkind::text || ' ' || c.relname FROM pg_class c WHERE relnamespace = 'guardian_archive'::regnamespace ORDER BY 1`,
          );
          expect(archive).to.deep.equal(
            [
              "S t_id_seq__1",
              "S u_id_seq__1",
              "i t_note_idx__1",
              "i t_pkey__1",
              "i u_pkey__1",
              "i u_t_excl__1",
              "r t__1",
              "r u__1",
            ].sort(),
          );
          // Only the subject's key; t's other keys and u's are gone.
          expect(await column(client, key)).to.deep.equal([
            "t_person_fkey FOREIGN KEY (person) REFERENCES auth.users(id) ON DELETE CASCADE",
          ]);
          const hanging = `SELECT 'trigger ' || tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND relnamespace = 'guardian_archive'::regnamespace
            UNION ALL SELECT 'policy ' || polname FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE relnamespace = 'guardian_archive'::regnamespace
            UNION ALL SELECT 'rule ' || rulename FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class WHERE relnamespace = 'guardian_archive'::regnamespace
            UNION ALL SELECT 'publication ' || prrelid::regclass FROM pg_publication_rel
            UNION ALL SELECT 'open ' || relname FROM pg_class WHERE relnamespace = 'guardian_archive'::regnamespace AND relkind = 'r' AND NOT relrowsecurity
            UNION ALL SELECT 'right ' || relname || ' ' || a.grantee::regrole FROM pg_class c, aclexplode(relacl) a WHERE relnamespace = 'guardian_archive'::regnamespace AND a.grantee <> relowner
            UNION ALL SELECT 'column right ' || attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'guardian_archive'::regnamespace AND attacl::text <> '{}'
            UNION ALL SELECT 'check ' || conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'guardian_archive'::regnamespace AND conname <> 't_note_check'
            UNION ALL SELECT 'default ' || adrelid::regclass || ' ' || pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE pg_get_expr(adbin, adrelid) ~ 'public'`;
          expect(await column(client, hanging)).to.deep.equal([]);
          await admin.query("DROP PUBLICATION p");
          const after = (await catalogue(admin)).filter(
            (line) => !/guardian_archive|RI_ConstraintTrigger|RI_FKey/.test(line),
          );
          expect(after).to.deep.equal(before.filter((line) => !/guardian_archive|RI_FKey/.test(line)));
          // The subject's key acts under v6, and the values are there as they were.
          expect(
            await column(
              client,
              "SELECT called || ' ' || made || ' ' || counted FROM guardian_archive.t__1 ORDER BY id",
            ),
          ).to.deep.equal(["2 2 1", "2 2 2", "2 2 3"]);
          await admin.query(
            "DELETE FROM auth.users WHERE id = (SELECT person FROM guardian_archive.t__1 WHERE id = 2)",
          );
          expect(await column(client, "SELECT id FROM guardian_archive.t__1 ORDER BY id")).to.deep.equal([1, 3]);
          expect(await column(client, "SELECT count(*) FROM guardian_archive.u__1")).to.deep.equal(["3"]);
          await engine.apply(await moduleOf("900_t", files));
        }));

      for (const [what, change, left] of [
        [
          "a key that forgets the person",
          { up: files.up.replace("auth.users ON DELETE CASCADE,", "auth.users ON DELETE SET NULL,") },
          "t_person_fkey",
        ],
        [
          "a key that keeps the person",
          { up: files.up.replace("auth.users ON DELETE CASCADE,", "auth.users,") },
          "t_person_fkey",
        ],
        [
          "no key of the person at all",
          {
            up: files.up.replace(
              "ADD CONSTRAINT t_person_fkey FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE,",
              "",
            ),
          },
          "t_subject__1",
        ],
      ] as const) {
        it(`${what} becomes one that erases, NOT VALID`, () =>
          withEngine(major, async (engine, db) => {
            const [client, admin] = [await db.connect(), await db.connect("admin")];
            await applied(engine, client, change);
            await engine.undo("900_t");
            expect(await column(client, key)).to.deep.equal([
              `${left} FOREIGN KEY (person) REFERENCES auth.users(id) ON DELETE CASCADE NOT VALID`,
            ]);
            await admin.query("DELETE FROM auth.users WHERE id IN (SELECT person FROM guardian_archive.t__1)");
            expect(await column(client, "SELECT id FROM guardian_archive.t__1")).to.deep.equal([]);
          }));
      }

      it("of a table without a subject no key is left, and it is kept whole when accounts go", () =>
        withEngine(major, async (engine, db) => {
          const [client, admin] = [await db.connect(), await db.connect("admin")];
          await applied(engine, client, {
            yaml: files.yaml!.replace("public.t, subject: person", "public.t, subject: none"),
          });
          await engine.undo("900_t");
          expect(await column(client, key)).to.deep.equal([]);
          await admin.query("DELETE FROM auth.users WHERE id IN (SELECT person FROM guardian_archive.t__1)");
          expect(
            await column(client, "SELECT count(*) FROM guardian_archive.t__1 WHERE person IS NOT NULL"),
          ).to.deep.equal(["3"]);
        }));

      for (const [what, sql, named] of [
        ["a view", "CREATE VIEW public.report AS SELECT note FROM public.t", "view public.report"],
        ["a view over our view", "CREATE VIEW public.report AS SELECT id FROM public.vv", "view public.report"],
        [
          "a materialised view",
          "CREATE MATERIALIZED VIEW public.report AS SELECT note FROM public.t",
          "materialized view public.report",
        ],
        [
          "a function that returns its rows",
          "CREATE FUNCTION public.report() RETURNS SETOF public.t LANGUAGE sql AS 'SELECT * FROM public.t'",
          "function public.report()",
        ],
        [
          "a function in the standard's form",
          "CREATE FUNCTION public.report() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM public.t; END",
          "function public.report()",
        ],
        [
          "a table with a foreign key",
          "CREATE TABLE public.other (t int CONSTRAINT other_fkey REFERENCES public.t)",
          "constraint other_fkey on table public.other",
        ],
        [
          "a default that calls a function of ours",
          "CREATE TABLE public.other (i int DEFAULT public.f(1))",
          "default value for column i of table public.other",
        ],
        [
          "a trigger on v6 that calls a function of ours",
          "CREATE TRIGGER other BEFORE UPDATE ON public.documents FOR EACH ROW EXECUTE FUNCTION public.touched()",
          "trigger other on table public.documents",
        ],
        [
          "a policy of v6 that reads a table of ours",
          "CREATE POLICY other ON public.documents USING (EXISTS (SELECT FROM public.t))",
          "policy other on table public.documents",
        ],
      ] as const) {
        it(`${what}, made by others, is named, and nothing happens`, () =>
          withEngine(major, async (engine, db) => {
            const [client, admin] = [await db.connect(), await db.connect("admin")];
            await applied(engine, client);
            await admin.query(sql);
            const before = await catalogue(admin);
            const said = await refusalOf(engine.undo("900_t"));
            expect(said.message).to.equal(
              `others made objects that depend on this module; a rollback would break them\n  where: ${named}\n` +
                "  to do: drop them, if they are not needed, or take out of them what refers to it; then run this again",
            );
            expect(await catalogue(admin)).to.deep.equal(before);
            expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
          }));
      }

      it("is refused while another module needs it", () =>
        withEngine(major, async (engine) => {
          await engine.apply(await moduleOf("900_t", files));
          await engine.apply(await moduleOf("901_x", { yaml: "requires: [900_t]\n", up: "" }));
          const said = await refusalOf(engine.undo("900_t"));
          expect(said.message).to.match(/^module 900_t is still needed\n {2}where: 901_x\n/);
          await engine.undo("901_x");
          await engine.undo("900_t");
          expect(await engine.undo("900_t"), "once more is nothing").to.equal(0n);
        }));

      it("a down.sql that leaves something behind is undone; mended and recorded, it works", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          const broken = files.down!.replace("DROP SEQUENCE public.s;", "");
          await applied(engine, client, { down: broken });
          const before = await catalogue(client);
          expect((await refusalOf(engine.undo("900_t"))).message).to.equal(
            "down.sql of 900_t leaves objects behind; the rollback was undone\n  where: sequence public.s\n" +
              "  to do: mend sql/900_t/down.sql, run up (which records it), then roll back again",
          );
          expect(await catalogue(client)).to.deep.equal(before);
          expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
          const mended = await moduleOf("900_t", files);
          await engine.apply(mended);
          await engine.write("SqlModule", "900_t", (session) => recordTexts(session, mended));
          expect(await engine.undo("900_t")).to.equal(6n);
        }));

      it("a down.sql that fails is named by its line, and is undone", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          await applied(engine, client, { down: `-- é\n\nDROP FUNCTION public.g();` });
          const before = await catalogue(client);
          expect((await refusalOf(engine.undo("900_t"))).message).to.match(
            /^PostgreSQL refused: function public\.g\(\) does not exist \(SQLSTATE 42883\)\n {2}where: down\.sql of 900_t \(as applied\):3: DROP FUNCTION public\.g\(\)/,
          );
          expect(await catalogue(client)).to.deep.equal(before);
        }));

      it("a verify.sql that refuses what is there is not recorded", () =>
        withEngine(major, async (engine, db) => {
          await engine.apply(await moduleOf("900_t", files));
          const wrong = await moduleOf("900_t", {
            ...files,
            down: "SELECT 1",
            verify: "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'no'; END $$",
          });
          const said = await refusalOf(engine.write("SqlModule", "900_t", (session) => recordTexts(session, wrong)));
          expect(said.sqlstate).to.equal("GM001");
          expect(await column(await db.connect(), "SELECT down FROM guardian_migration.module")).to.deep.equal([
            files.down,
          ]);
        }));

      it("works where somebody dropped one of its tables by hand", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          await applied(engine, client);
          await client.query("DROP TABLE public.empty");
          expect(await engine.undo("900_t")).to.equal(6n);
        }));

      it("names of 63 bytes go along", () =>
        withEngine(major, async (engine, db) => {
          const client = await db.connect();
          const name = `t${"é".repeat(31)}`;
          const index = (last: string): string => `${"i".repeat(62)}${last}`;
          await engine.apply(
            await moduleOf("900_t", {
              yaml: `objects:\n  table: [public.${name}]\narchive: [{ table: public.${name}, subject: none }]\n`,
              up: `CREATE TABLE public."${name}" (id int CONSTRAINT ${index("a")} PRIMARY KEY, b int CONSTRAINT ${index("b")} UNIQUE);
                INSERT INTO public."${name}" VALUES (1, 2)`,
            }),
          );
          expect(await engine.undo("900_t")).to.equal(1n);
          const [moved] = await column<string>(client, "SELECT archived_as FROM guardian_migration.archived");
          expect(moved).to.match(/^guardian_archive\.té+_[0-9a-f]{8}__1$/);
          expect(await column(client, `SELECT id FROM ${moved!}`)).to.deep.equal([1]);
        }));
    });
  }
});
