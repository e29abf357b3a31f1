import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Client } from "pg";
import { connectWriter, type Untouched, type Writer } from "../../engine/connect";
import { GuardianError } from "../../engine/base/errors";
import { Crew } from "../../engine/migrate/workers/crew";
import { withEmpty, type V6 } from "../support/postgres";
import { withOnline } from "./migrate/harness";
import { column, moduleOf, refusalOf, settingsOf, withEngine } from "./module/harness";
import { lastly } from "../support/lastly";

const vitals = "SELECT count(*)::int FROM public.patient_vitals";

/** SQL for a function that takes a row of v6 away in a subtransaction, whose id nothing of the ledger bears. */
const taking = (
  what: string,
): string => `CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    BEGIN ${what}; EXCEPTION WHEN division_by_zero THEN NULL; END;
    RETURN NULL;
  END $$`;
const oneOf = (table: string): string =>
  `DELETE FROM ${table} WHERE id = (SELECT id FROM ${table} ORDER BY id LIMIT 1)`;

describe("v6's rows", function () {
  this.timeout(60_000);

  it("19-4 a module that takes one away in a subtransaction is not applied, and the ledger says why", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      const [before] = await column<number>(admin, vitals);
      const sly = await moduleOf("900_sly", {
        yaml: "objects:\n  table: [public.t]\n",
        up: `CREATE TABLE public.t (id int);
DO $$ BEGIN ${oneOf("public.patient_vitals")}; EXCEPTION WHEN division_by_zero THEN NULL; END $$;`,
      });
      const refused = await refusalOf(engine.apply(sly));
      expect(refused.code).to.equal("v6-write");
      expect(refused.message).to.match(/would have written rows of v6 \(public\.patient_vitals\).*rolled back/);
      expect(await column(admin, vitals)).to.deep.equal([before]);
      expect(await column(admin, "SELECT to_regclass('public.t')::text")).to.deep.equal([null]);
      // What is recorded of it is a transaction of the same session, which wrote nothing of v6 itself.
      expect(
        await column(
          admin,
          "SELECT detail -> 'error' ->> 'what' FROM guardian_migration.step WHERE urn LIKE '%::900_sly'",
        ),
      ).to.deep.equal([refused.what]);
      const honest = await moduleOf("900_sly", {
        yaml: "objects:\n  table: [public.t]\n",
        up: "CREATE TABLE public.t (id int);",
        down: "DROP TABLE public.t;",
      });
      await engine.apply(honest);
      expect(await engine.states("SqlModule", "900_sly")).to.deep.equal({ "": "done" });
    }));

  /** Has somebody's trigger on the migration's table do that. */
  const triggered = async (admin: Client, when: string, what: string): Promise<void> => {
    await admin.query(taking(what));
    await admin.query(
      `CREATE TRIGGER meddle AFTER ${when} ON public.user_preferences FOR EACH STATEMENT EXECUTE FUNCTION public.meddle()`,
    );
  };

  it("19-4 a data migration by which somebody's trigger would take one away moves nothing, nor is it taken back by it", () =>
    withOnline("preferences", 300, async (online) => {
      const { admin } = online;
      const [before] = await column<number>(admin, vitals);
      await triggered(admin, "INSERT", oneOf("public.patient_vitals"));
      expect((await refusalOf(online.move())).code).to.equal("v6-write");
      const preferences = "SELECT count(*)::int FROM public.user_preferences";
      expect(await column(admin, preferences)).to.deep.equal([0]);
      await admin.query("DROP FUNCTION public.meddle() CASCADE");
      await online.move();
      await triggered(admin, "DELETE", "UPDATE auth.users SET updated_at = now()");
      const refused = await refusalOf(online.back());
      expect([refused.code, refused.what]).to.deep.equal([
        "v6-write",
        "the migration would have written rows of v6 (auth.users); the transaction was rolled back",
      ]);
      expect(await column(admin, preferences)).to.deep.equal([300]);
      await admin.query("DROP FUNCTION public.meddle() CASCADE");
      expect(await online.back()).to.deep.equal({ removed: 300n, kept: 0n });
      expect(await column(admin, vitals), "all the time").to.deep.equal([before]);
    }));

  it("19-4 a trigger that is deferred fires before it is asked, and not in COMMIT", () =>
    withOnline("preferences", 300, async (online) => {
      const { admin } = online;
      const [before] = await column<number>(admin, vitals);
      await admin.query(taking(oneOf("public.patient_vitals")));
      await admin.query(
        `CREATE CONSTRAINT TRIGGER meddle AFTER INSERT ON public.user_preferences DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION public.meddle()`,
      );
      expect((await refusalOf(online.move())).code).to.equal("v6-write");
      expect(await column(admin, vitals)).to.deep.equal([before]);
    }));

  it("19-4 nor does another worker of a migration's crew write one", () =>
    withEngine(async (engine) => {
      await engine.write("DataMigration", "moving", async (fenced) => {
        const crew = await Crew.open(fenced, fenced.options.urn, {} as never, { workers: 2, throttled: false });
        try {
          expect(crew.workers).to.have.length(2);
          for (const worker of crew.workers) {
            const writing = worker.transaction((tx) => tx.query(oneOf("public.patient_vitals")));
            expect((await refusalOf(writing)).code).to.equal("v6-write");
          }
        } finally {
          await crew.close();
        }
      });
    }));
});

describe("a writer that may not touch a table", function () {
  this.timeout(60_000);
  const untouched: Untouched = {
    tables: ["public.whole", "public.parts", "public.nowhere"],
    refusal: (written, where) => new GuardianError("v6-write", { what: written.join(), where }),
  };

  const guarded = (test: (writer: Writer, db: V6, said: (text: string) => Promise<string>) => Promise<void>) =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(
        `CREATE TABLE public.whole (id int PRIMARY KEY); CREATE TABLE public.other (id int REFERENCES public.whole);
         CREATE TABLE public.parts (id int) PARTITION BY LIST (id); CREATE TABLE public.odd PARTITION OF public.parts FOR VALUES IN (1, 3) PARTITION BY LIST (id);
         CREATE SCHEMA far; CREATE TABLE far.one PARTITION OF public.odd FOR VALUES IN (1); CREATE TABLE far.child () INHERITS (public.whole);
         INSERT INTO public.whole VALUES (1); INSERT INTO public.parts VALUES (1)`,
      );
      const writer = await connectWriter(settingsOf(db.admin), { detail: "test", untouched });
      const said = (text: string): Promise<string> =>
        writer
          .transaction((it) => it.script(text))
          .then(
            () => "committed",
            (err: unknown) => (err instanceof GuardianError && err.code === "v6-write" ? err.what : String(err)),
          );
      await lastly(test(writer, db, said), () => writer.close());
    });

  it("19-4 is refused a row of it, of a partition and of what inherits from it, in a subtransaction too; not its definition", () =>
    guarded(async (_writer, _db, said) => {
      const outcomes: [text: string, outcome: string][] = [
        ["INSERT INTO public.whole VALUES (2)", "public.whole"],
        ["UPDATE public.whole SET id = id", "public.whole"],
        ["DELETE FROM public.parts", "far.one"],
        ["INSERT INTO far.child VALUES (7)", "far.child"],
        ["SAVEPOINT s; DELETE FROM public.parts; RELEASE s; DELETE FROM public.whole", "far.one,public.whole"],
        ["SAVEPOINT s; DELETE FROM public.whole; ROLLBACK TO s", "public.whole"],
        ["DO 'BEGIN DELETE FROM public.whole; EXCEPTION WHEN OTHERS THEN NULL; END'", "public.whole"],
        // A foreign key looks its row up, and marks it; that is no write.
        ["INSERT INTO public.other VALUES (1)", "committed"],
        [
          "ALTER TABLE public.whole ADD CONSTRAINT positive CHECK (id > 0); SELECT FROM public.whole FOR UPDATE",
          "committed",
        ],
        ["SELECT 1", "committed"],
      ];
      for (const [text, outcome] of outcomes) expect(await said(text), text).to.equal(outcome);
    }));

  it("19-4 is not refused what it did in a transaction before, which failed", () =>
    guarded(async (writer, _db, said) => {
      for (let i = 0; i < 3; i++) {
        expect(await said("DELETE FROM public.whole; SELECT 1 / 0")).to.match(/division by zero/);
        expect(await said("CREATE TABLE public.more (); DROP TABLE public.more"), `${i}`).to.equal("committed");
      }
      await sleep(1100);
      expect(await said("DELETE FROM public.whole"), "once the server has told it all").to.equal("public.whole");
      const { rows } = await writer.query("SELECT id FROM public.whole");
      expect(rows).to.deep.equal([{ id: 1 }]);
    }));
});
