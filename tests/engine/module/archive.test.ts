import { expect } from "chai";
import type { Queryable } from "../../../engine/base/sql";
import { FencedWriter } from "../../../engine/database";
import { stamped } from "../../../engine/module/archive/stamp";
import { undoModule } from "../../../engine/module/undo";
import { leavingModules } from "../../../engine/module/leaving";
import { catalogue } from "../../support/modules";
import { applied, files, key } from "./archived";
import { column, moduleOf, withEngine, withMigrator } from "./harness";

/** Hands every statement of a writer's transactions on; what is given looks at it first. */
async function watching(look: (text: string) => void, work: () => Promise<unknown>): Promise<void> {
  const usual = FencedWriter.prototype.transaction;
  FencedWriter.prototype.transaction = function (inside) {
    const watched = (db: Queryable): Queryable => ({
      query: (text, values) => (look(text), db.query(text, values)),
      script: (text) => (look(text), db.script(text)),
    });
    return usual.call(this, (db: Queryable) => inside(watched(db))).finally(() => look("")) as ReturnType<
      typeof inside
    >;
  };
  try {
    await work();
  } finally {
    FencedWriter.prototype.transaction = usual;
  }
}

/** @returns every statement from the first that a pattern finds to the end of its transaction */
async function textsOf(from: RegExp, work: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = [];
  let inside = false;
  await watching((text) => {
    inside = text !== "" && (inside || from.test(text));
    if (inside) texts.push(text);
  }, work);
  return texts;
}

/** The process ends where a statement has these words. */
async function failing(words: string, work: () => Promise<unknown>): Promise<void> {
  const look = (text: string): void => {
    if (text.includes(words)) throw new Error("cut off");
  };
  const said = await watching(look, work).then(
    () => "nothing",
    (err: unknown) => String(err),
  );
  expect(said).to.contain("cut off");
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

describe("modules that are applied and not declared any more", function () {
  this.timeout(60_000);

  it("16-16 are told with the rows that would be archived, the newest first", () =>
    withMigrator(async (engine, client) => {
      await applied(engine, client);
      const one = { yaml: "objects:\n  table: [public.one]\n", up: "CREATE TABLE public.one ()" };
      await engine.apply(await moduleOf("901_one", one));
      const leaving = (declared: string[]) => engine.host.read((db) => leavingModules(db, declared));
      const t = {
        module: "900_t",
        rows: [
          { table: "public.t", rows: 3, about: false },
          { table: "public.u", rows: 3, about: false },
        ],
        objects: 14,
        locks: ["auth.users"],
      };
      expect(await leaving([])).to.deep.equal([{ module: "901_one", rows: [], objects: 1, locks: [] }, t]);
      expect(await leaving(["901_one", "902_new"])).to.deep.equal([t]);
      expect(await leaving(["900_t", "901_one"])).to.deep.equal([]);
      await client.query("DROP TABLE public.u CASCADE");
      expect(await leaving(["901_one"])).to.deep.equal([{ ...t, rows: t.rows.slice(0, 1) }]);
    }));
});

describe("rolling a module back", function () {
  this.timeout(60_000);

  it("rows go to the archive, empty tables go, and nothing else is left", () =>
    withEngine(async (engine, db) => {
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
        await column(client, "SELECT called || ' ' || made || ' ' || counted FROM guardian_archive.t__1 ORDER BY id"),
      ).to.deep.equal(["2 2 1", "2 2 2", "2 2 3"]);
      await admin.query("DELETE FROM auth.users WHERE id = (SELECT person FROM guardian_archive.t__1 WHERE id = 2)");
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
      withEngine(async (engine, db) => {
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
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      await applied(engine, client, {
        yaml: files.yaml!.replace("public.t, subject: person", "public.t, subject: none"),
      });
      await engine.undo("900_t");
      expect(await column(client, key)).to.deep.equal([]);
      await admin.query("DELETE FROM auth.users WHERE id IN (SELECT person FROM guardian_archive.t__1)");
      expect(await column(client, "SELECT count(*) FROM guardian_archive.t__1 WHERE person IS NOT NULL")).to.deep.equal(
        ["3"],
      );
    }));

  it("of a module that locks nothing of v6 the accounts are locked for the key that is made", () =>
    withMigrator(async (engine, client) => {
      await engine.apply(
        await moduleOf("900_t", {
          yaml: "objects:\n  table: [public.t]\narchive: [{ table: public.t, subject: person }]\n",
          up: "CREATE TABLE public.t (id int, person uuid);",
        }),
      );
      await client.query("INSERT INTO public.t SELECT 1, id FROM auth.users LIMIT 1");
      expect(await engine.undo("900_t")).to.equal(1n);
      expect(await column(client, key)).to.have.length(1);
    }));

  it("names of 63 bytes go along, and such as must be quoted", () =>
    withMigrator(async (engine, client) => {
      const name = `T${"é".repeat(31)}`; // a capital wants quotes, as a space does
      const index = (last: string): string => `"${"i".repeat(20)} ${"i".repeat(41)}${last}"`;
      await engine.apply(
        await moduleOf("900_t", {
          yaml: `objects:\n  table: [public.${name}]\narchive: [{ table: public.${name}, subject: none }]\n`,
          up: `CREATE TABLE public."${name}" (id int CONSTRAINT ${index("a")} PRIMARY KEY, b int CONSTRAINT ${index("b")} UNIQUE);`,
        }),
      );
      await client.query(`INSERT INTO public."${name}" VALUES (1, 2)`);
      expect(await engine.undo("900_t")).to.equal(1n);
      const [moved] = await column<string>(client, "SELECT archived_as FROM guardian_migration.archived");
      expect(moved).to.match(/^guardian_archive\.Té+_[0-9a-f]{8}__1$/);
      expect(await column(client, `SELECT id FROM ${moved!.replace(".", '."')}"`)).to.deep.equal([1]);
    }));

  it("counts no rows while its tables are locked, since what deletes in v6 waits for them; the ledger has the number all the same", () =>
    withMigrator(async (engine, client) => {
      const known = "SELECT concat_ws(' ', original, rows) FROM guardian_migration.archived ORDER BY original";
      await applied(engine, client);
      const underLocks = await textsOf(/^LOCK TABLE/, () => engine.undo("900_t"));
      expect(underLocks.join("\n")).to.contain("SET SCHEMA").and.not.contain("count(*)");
      expect(await column(client, known)).to.deep.equal(["public.t 3", "public.u 3"]);
    }));

  it("what waited for its tables is left alone for as many times as long, where v6 could not be had then", () =>
    withEngine(
      async (engine, db) => {
        const [client, holder] = [await db.connect(), await db.connect("admin")];
        await applied(engine, client, { down: `DO $$ BEGIN PERFORM pg_sleep(0.3); END $$;\n${files.down}` });
        await holder.query("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE");
        const stop = new AbortController();
        let again = 0;
        engine.onProgress = ({ phase, againSeconds = 0 }) => {
          if (phase !== "v6 locks") return;
          again = againSeconds;
          stop.abort();
        };
        await engine
          .write("SqlModule", "900_t", (fenced) => undoModule(fenced, Date.now() + 600_000), { signal: stop.signal })
          .catch(() => undefined);
        await holder.query("COMMIT");
        expect(again).to.be.at.least(0.3 * 99);
      },
      { parameters: { pauseTimes: 99 } },
    ));

  it("cut off before the rows are counted: counts them when it is asked again, or when they are to come back", () =>
    withMigrator(async (engine, client) => {
      const counts = "SELECT concat_ws(' ', original, rows, restored) FROM guardian_migration.archived ORDER BY 1";
      const uncounted = "SELECT count(*)::int FROM guardian_migration.step WHERE detail ? 'uncounted'";
      const cutOff = async (): Promise<void> => {
        await failing("count(*) AS n FROM", () => engine.undo("900_t"));
        expect(await column(client, uncounted)).to.deep.equal([1]);
      };
      await applied(engine, client);
      await cutOff();
      expect(await engine.undo("900_t")).to.equal(6n);
      expect(await column(client, uncounted)).to.deep.equal([0]);
      expect(await engine.undo("900_t")).to.equal(0n);
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(6n);
      await cutOff();
      expect((await engine.apply(await moduleOf("900_t", files))).restored).to.equal(6n);
      expect(await column(client, uncounted)).to.deep.equal([0]);
      expect(await column(client, counts)).to.deep.equal([
        "public.t 3 3",
        "public.t 3 3",
        "public.u 3 3",
        "public.u 3 3",
      ]);
    }));
});
