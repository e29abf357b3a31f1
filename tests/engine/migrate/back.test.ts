import { expect } from "chai";
import { moveRows, takeBackForgotten } from "../../../engine/migrate";
import { asRole } from "../../support/postgres";
import { column, endWriters, refusalOf, until } from "../module/harness";
import { modules, stopped, withOnline } from "./harness";

const users = 3000;
const rows = "SELECT count(*)::int FROM public.user_preferences";
/** Ranges, rejects and noted changes: what only a running migration needs. */
const working = `SELECT ((SELECT count(*) FROM guardian_migration.range) + (SELECT count(*) FROM guardian_migration.reject)
  + (SELECT count(*) FROM guardian_migration.change))::int`;

describe("the way back", function () {
  this.timeout(180_000);

  it("leaves what was changed and what others refer to, somebody's new row too, and forgets its keys", () =>
    withOnline("preferences", users, async (online) => {
      const { admin, db } = online;
      const [changed, referred, late] = await column<string>(
        admin,
        "SELECT id FROM auth.users ORDER BY id LIMIT 3 OFFSET 1500",
      );
      await admin.query("CREATE TABLE public.refers (who uuid REFERENCES public.user_preferences ON DELETE CASCADE)");
      await online.move();
      await admin.query("UPDATE public.user_preferences SET theme = 'dark' WHERE user_id = $1", [changed]);
      await admin.query("INSERT INTO public.refers VALUES ($1)", [referred]);
      // One begins to refer to a row, and has not committed when the DELETE wants it.
      const other = await db.connect("admin");
      await other.query("BEGIN");
      await other.query("INSERT INTO public.refers VALUES ($1)", [late]);
      const going = online.back();
      await until(
        admin,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      await other.query("COMMIT");
      expect(await going).to.deep.equal({ removed: BigInt(users - 3), kept: 3n });
      expect(await column(admin, "SELECT user_id FROM public.user_preferences ORDER BY 1")).to.deep.equal([
        ...[changed, referred, late],
      ]);
      expect(await column(admin, "SELECT who FROM public.refers ORDER BY 1")).to.deep.equal([referred, late]);
      expect(await column(admin, working)).to.deep.equal([0]);
      expect(await column(admin, "SELECT DISTINCT state FROM guardian_migration.batch")).to.deep.equal(["undone"]);
      // Up again: those three have theirs, and are nobody's to take back, though nothing refers to them any more.
      expect(await online.move()).to.deep.include({ source: BigInt(users), written: BigInt(users - 3) });
      await admin.query("DELETE FROM public.refers");
      expect(await online.back()).to.deep.equal({ removed: BigInt(users - 3), kept: 0n });
      expect(await column(admin, rows)).to.deep.equal([3]);
    }));

  it("takes rows as well of ranges that the plan does not know as moved, wherever they are", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await online.move();
      // As after a worker that was killed between its rows, which came one by one, and the note that the range is done.
      await admin.query("UPDATE guardian_migration.range SET batch_id = NULL WHERE place <> 2");
      expect(await online.back()).to.deep.equal({ removed: BigInt(users), kept: 0n });
      expect(await column(admin, rows)).to.deep.equal([0]);
    }));

  it("counts what it took, not what v6 deleted while the rows moved, also where it was cut off and went up between", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      await stopped(online);
      await admin.query("ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_user_id_fkey");
      await admin.query("DELETE FROM auth.users WHERE id IN (SELECT id FROM auth.users ORDER BY id LIMIT 10)");
      expect(await online.move()).to.deep.include({ written: BigInt(users - 10) });
      expect(await column(admin, rows)).to.deep.equal([users - 10]);
      const stop = new AbortController();
      online.engine.onProgress = ({ phase, done, total }) => {
        if (phase === "take back" && done === total) stop.abort();
      };
      await refusalOf(online.back({ signal: stop.signal }));
      online.engine.onProgress = () => undefined;
      expect(await online.move()).to.deep.include({ written: BigInt(users - 10) });
      expect(await online.differing()).to.equal(0);
      expect(await online.back()).to.deep.equal({ removed: BigInt(users - 10), kept: 0n });
    }));
});

describe("a migration that was killed before its state was saved", function () {
  this.timeout(180_000);

  it("is taken back before its table's module goes, triggers and all", () =>
    withOnline("preferences", users, async (online) => {
      const { admin, engine } = online;
      await admin.query(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;
          CREATE TRIGGER slow AFTER UPDATE ON guardian_migration.step FOR EACH ROW WHEN (NEW.state = 'done' AND NEW.kind = 'DataMigration')
            EXECUTE FUNCTION public.slow()`);
      const cut = refusalOf(online.move());
      await until(
        admin,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
      );
      await endWriters(admin);
      await cut;
      await admin.query("DROP TRIGGER slow ON guardian_migration.step");
      expect(await engine.states("DataMigration", "preferences")).to.deep.equal({ "": "running" });
      expect(await online.traces()).to.be.greaterThan(0);
      expect(await column(admin, rows)).to.deep.equal([users]);
      // As resources/sql-module does it: another module's migrations are no business of its.
      const forget = (module: string): Promise<void> =>
        engine.write("SqlModule", module, (fenced) => takeBackForgotten(fenced, Date.now() + 60_000, module));
      await forget(modules[1]!);
      expect(await column(admin, rows)).to.deep.equal([users]);
      await forget(modules[2]!);
      expect(await engine.states("DataMigration", "preferences")).to.deep.equal({ "": "undone" });
      expect(await online.traces()).to.equal(0);
      expect(await column(admin, working)).to.deep.equal([0]);
      expect(await engine.undo(modules[2]!)).to.equal(0n);
    }));
});

describe("while rows move, v6", function () {
  this.timeout(180_000);

  it("deletes accounts and changes its profiles as ever; of a person who is gone the ledger has nothing to work on", () =>
    withOnline("preferences", users, async (online) => {
      const { admin } = online;
      const [first, second, third] = await column<string>(
        admin,
        "SELECT user_id FROM public.user_profiles ORDER BY user_id LIMIT 3",
      );
      const mark = "ADD CONSTRAINT odd CHECK (user_id <> $1)".replace("$1", `'${second}'`);
      await admin.query(`ALTER TABLE public.user_preferences ${mark}`);
      await stopped(online);
      expect(await column(admin, "SELECT key[1] FROM guardian_migration.reject")).to.deep.equal([second]);
      await asRole(admin, "authenticated", third!, (c) =>
        c.query("UPDATE public.user_profiles SET language = 'cy' WHERE user_id = $1", [third]),
      );
      await admin.query("DELETE FROM auth.users WHERE id = ANY ($1)", [[first, second]]);
      const noted = await column<string>(admin, "SELECT DISTINCT key[1] FROM guardian_migration.change ORDER BY 1");
      expect(noted).to.deep.equal([first, second, third]);
      // The first one's row was written, and went with his account.
      expect(await online.move()).to.deep.include({ written: BigInt(users - 1), rejected: 0n });
      expect(await column(admin, rows)).to.deep.equal([users - 2]);
      expect(await online.differing()).to.equal(0);
      for (const table of ["change", "reject"]) {
        expect(await column(admin, `SELECT count(*)::int FROM guardian_migration.${table}`), table).to.deep.equal([0]);
      }
      expect(
        await column(admin, "SELECT count(*)::int FROM guardian_migration.step WHERE detail::text LIKE ANY ($1)", [
          [`%${first}%`, `%${second}%`],
        ]),
      ).to.deep.equal([0]);
      await online.back();
      expect(await column(admin, working)).to.deep.equal([0]);
    }));

  it("empties a table at once, and a run that is cut off while it compares all rows does it again", () =>
    withOnline("preferences", users, async (online) => {
      const { admin, engine } = online;
      await stopped(online);
      await admin.query("TRUNCATE public.user_profiles");
      const stop = new AbortController();
      engine.onProgress = ({ phase }) => {
        if (phase === "look again") stop.abort();
      };
      await refusalOf(online.move({}, { signal: stop.signal }));
      expect(
        await column(admin, "SELECT count(*) > 1 FROM public.user_preferences WHERE language <> 'en'"),
      ).to.deep.equal([true]);
      engine.onProgress = () => undefined;
      await online.move();
      expect(await online.differing()).to.equal(0);
      expect(await column(admin, "SELECT DISTINCT language FROM public.user_preferences")).to.deep.equal(["en"]);
    }));

  it("wins where it and a batch wait for each other: its transaction is not the one that ends", () =>
    withOnline("preferences", users, async (online) => {
      const { admin, db } = online;
      const ids = await column<string>(admin, "SELECT id FROM auth.users ORDER BY id");
      // A first run makes the triggers, for which it would wait for an open transaction of v6.
      await admin.query("ALTER TABLE public.user_preferences ADD CONSTRAINT odd CHECK (false)");
      await refusalOf(online.move());
      await admin.query("ALTER TABLE public.user_preferences DROP CONSTRAINT odd");
      // v6 begins to wait first; who has waited for deadlock_timeout looks for a circle, and ends his own transaction.
      await admin.query(`ALTER DATABASE ${db.name} SET deadlock_timeout = '3s';
        CREATE FUNCTION public.nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
        CREATE TRIGGER nap AFTER INSERT ON public.user_preferences FOR EACH ROW WHEN (NEW.user_id = '${ids[2000]}')
          EXECUTE FUNCTION public.nap()`);
      const v6 = await db.connect("admin");
      await v6.query("BEGIN");
      await v6.query("DELETE FROM auth.users WHERE id = $1", [ids.at(-1)]);
      const moving = online.move();
      // The batch has locked two thirds of its accounts by now, and will want the last one.
      await until(
        admin,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
      );
      await v6.query("DELETE FROM auth.users WHERE id = $1", [ids[100]]);
      await v6.query("COMMIT");
      expect(await moving).to.deep.include({ written: BigInt(users - 2), rejected: 0n });
      expect(await online.differing()).to.equal(0);
    }));
});

describe("consents as requests", function () {
  this.timeout(180_000);

  it("carry legal basis consent whatever the config says; what was refused or revoked is not asked again by another up", () =>
    withOnline("consents", 300, async (online) => {
      const { admin, engine, migration } = online;
      const pending = { mode: "pending", legalBasis: "public_interest", statement: "letter of May" };
      const move = (): Promise<unknown> =>
        engine.write("DataMigration", "consents", (fenced) => moveRows(fenced, migration, pending));
      await move();
      const said =
        "SELECT DISTINCT concat_ws(' ', granted, legal_basis, consent_metadata ->> 'state') FROM public.patient_consents";
      expect(await column(admin, said)).to.deep.equal(["f consent pending"]);
      const [all] = await column<number>(admin, "SELECT count(*)::int FROM public.patient_consents");
      const people = (
        await admin.query<{ id: string; patient: string }>(
          "SELECT id, patient_id AS patient FROM public.patient_consents ORDER BY patient_id LIMIT 2",
        )
      ).rows;
      const [refuser, revoker] = people as [(typeof people)[0], (typeof people)[0]];
      await asRole(admin, "authenticated", refuser.patient, (c) =>
        c.query("SELECT public.refuse_patient_consent($1, 'data_sharing', 'healthcare_services')", [refuser.patient]),
      );
      await asRole(admin, "authenticated", revoker.patient, async (c) => {
        await c.query("SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services')", [
          revoker.patient,
        ]);
        await c.query("SELECT public.revoke_patient_consent($1, 'no more')", [revoker.id]);
      });
      const theirs = `SELECT concat_ws(' ', granted, consent_metadata ->> 'state', revoked_at IS NOT NULL) FROM public.patient_consents
        WHERE patient_id = ANY ($1) ORDER BY patient_id`;
      const after = await column(admin, theirs, [[refuser.patient, revoker.patient]]);
      expect(after).to.deep.equal(["f refused f", "f t"]);
      expect(await online.back()).to.deep.equal({ removed: BigInt(all! - 2), kept: 2n });
      for (const name of [...modules].reverse()) await engine.undo(name);
      await engine.applyReal(...modules);
      await move();
      expect(await column(admin, theirs, [[refuser.patient, revoker.patient]])).to.deep.equal(after);
      expect(await column(admin, "SELECT count(*)::int FROM public.patient_consents")).to.deep.equal([all]);
    }));
});
