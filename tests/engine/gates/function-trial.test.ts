import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { DatabaseError } from "pg";
import { GuardianError } from "../../../engine/base/errors";
import type { Trial } from "../../../engine/connect";
import { StepFailed, Steps } from "../../../engine/gates/function/steps";
import { applied, asked, line, replace } from "./asked";
import { lastly } from "../../support/lastly";

function locked(): DatabaseError {
  return Object.assign(new DatabaseError("canceling statement due to lock timeout", 1, "error"), { code: "55P03" });
}

describe("gates: function, and what a trial must not do", function () {
  this.timeout(120_000);

  it("19-7 goes back to the role of the connection, where a login is given another", () =>
    applied(async (db, admin) => {
      const login = `login_${db.name}`;
      await admin.query(
        `CREATE ROLE ${login} LOGIN NOINHERIT PASSWORD 'of-no-worth'; GRANT guardian_migrator TO ${login};
         ALTER ROLE ${login} SET role = guardian_migrator`,
      );
      const as = { ...db.migrator, user: login, password: "of-no-worth" };
      const found = await lastly(asked(as, "consent-flow"), () => admin.query(`DROP ROLE ${login}`));
      expect(line(found)).to.match(/^passed/);
    }));

  it("19-7 could not run where somebody's trigger would fire, which may call out, and names it", () =>
    applied(async (db, admin) => {
      await admin.query(
        `CREATE FUNCTION public.call_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER "a webhook" AFTER INSERT ON public.notification_queue FOR EACH ROW EXECUTE FUNCTION public.call_out()`,
      );
      for (const name of ["consent-flow", "notification-once"])
        expect(line(await asked(db.migrator, name))).to.equal(
          'could not run: no module made what these call, and no rollback takes back a call to the outside: trigger "a webhook" of public.notification_queue',
        );
      await admin.query('ALTER TABLE public.notification_queue DISABLE TRIGGER "a webhook"');
      expect(line(await asked(db.migrator, "notification-once"))).to.match(/^passed/);
    }));

  it("19-7 tries again a second later, when who held the lock has done", () =>
    applied(async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.patient_consents");
      const done = sleep(700).then(() => admin.query("COMMIT"));
      expect(line(await asked(db.migrator, "consent-flow"))).to.match(/^passed/);
      await done;
    }));

  it("19-7 takes a lock for one, whoever tells of it: the server, or the session that saw who holds it", async () => {
    const parts = { what: "another session holds a lock", where: "here", todo: "wait", sqlstate: "55P03" };
    for (const told of [new GuardianError("lock-timeout", parts), locked()]) {
      const trial = { query: () => Promise.reject(told) } as unknown as Trial;
      const failed: unknown = await new Steps(trial, false)
        .ask("a step", "server", "SELECT 1")
        .catch((err: unknown) => err);
      expect(failed).to.be.instanceOf(StepFailed).and.to.include({ step: "a step", state: "55P03" });
    }
  });

  it("19-7 takes another account and document where the application deletes those that it chose", () =>
    applied(async (db, admin) => {
      // As an account is closed whose deletion the trial meets: the lock first, and then nobody.
      const chosen = "(SELECT user_id FROM public.documents WHERE user_id IS NOT NULL ORDER BY id LIMIT 1)";
      for (const name of ["consent-flow", "document-pipeline", "care-team-journey"]) {
        await admin.query(`BEGIN; SET LOCAL session_replication_role = replica; CREATE TEMPORARY TABLE gone ON COMMIT DROP AS
          SELECT ${chosen} AS id; DELETE FROM public.documents WHERE user_id = (SELECT id FROM gone);
          DELETE FROM auth.users WHERE id = (SELECT id FROM gone)`);
        const done = sleep(700).then(() => admin.query("COMMIT"));
        const found = await asked(db.migrator, name);
        await done;
        expect(line(found), name).to.match(/^passed: \d+ steps as they should be, and rolled back/);
      }
    }));

  it("19-7 takes no record for another where the application adds to it between two statements", () =>
    applied(async (db, admin) => {
      const writing = "BEGIN PERFORM pg_catalog.pg_sleep(0.1);";
      const built = "public.guardian_to_fhir_bundle(uuid)";
      await replace(admin, built, ["BEGIN", writing]);
      const application = await db.connect("admin");
      const add = `INSERT INTO public.patient_conditions (user_id, condition_name, source_document_ids)
        SELECT d.user_id, 'Synthetic', ARRAY[d.id] FROM public.documents d WHERE d.user_id IS NOT NULL ORDER BY d.id LIMIT 1`;
      const over = new AbortController();
      const adding = (async () => {
        while (!over.signal.aborted) {
          await application.query(add);
          await sleep(20);
        }
      })();
      const found = await asked(db.migrator, "fhir-build");
      over.abort();
      await adding;
      expect(line(found)).to.match(/^passed: .*the application added to the record meanwhile/);
      // A record that stands still, and is less for the patient, is found.
      const whole = "WHERE g.patient_id = p_user_id";
      await replace(admin, built, [whole, `${whole} AND auth.uid() IS NULL`]);
      expect(line(await asked(db.migrator, "fhir-build"))).to.match(/^failed: the patient builds the same: not so/);
    }));

  it("19-7 has written no row of a patient's own while an export is made, which takes long", () =>
    applied(async (db, admin) => {
      const written = "SELECT FROM public.user_preferences AS p WHERE p.xmin = pg_current_xact_id()::xid";
      await replace(admin, "public.guardian_to_fhir_bundle(uuid)", [
        "BEGIN",
        `BEGIN IF EXISTS (${written}) THEN RAISE 'somebody waits' USING ERRCODE = 'P0WAI'; END IF;`,
      ]);
      expect(line(await asked(db.migrator, "patient-journey"))).to.match(/^passed/);
    }));

  it("19-7 finds a function that writes to a partition of a v6 table, by its root or by its own name", () =>
    applied(async (db, admin) => {
      await admin.query(
        `DROP TABLE public.user_profiles; CREATE TABLE public.user_profiles (id int) PARTITION BY LIST (id);
         CREATE TABLE public.profiles_odd PARTITION OF public.user_profiles FOR VALUES IN (1) PARTITION BY LIST (id);
         CREATE SCHEMA far; CREATE TABLE far.profiles_one PARTITION OF public.profiles_odd FOR VALUES IN (1);
         GRANT USAGE ON SCHEMA far TO guardian_migrator; GRANT ALL ON ALL TABLES IN SCHEMA public, far TO guardian_migrator`,
      );
      const call = "PERFORM public.advance_document_run(";
      for (const table of ["public.user_profiles", "far.profiles_one"]) {
        const write = `INSERT INTO ${table} VALUES (1); ${call}`;
        const routine = "public.complete_document_work(uuid, uuid, jsonb, numeric, boolean)";
        const was = await replace(admin, routine, [call, write]);
        const found = await lastly(asked(db.migrator, "document-pipeline"), () => admin.query(was));
        expect(line(found), table).to.match(/^failed: far\.profiles_one was written to, and rolled back$/);
      }
      expect(line(await asked(db.migrator, "document-pipeline"))).to.match(/^passed/);
    }));

  it("19-7 notes an assessment that takes too long, and tries the rest of what an operator runs", () =>
    applied(async (db, admin) => {
      const late = "BEGIN RAISE 'as after 5 s' USING ERRCODE = '57014';";
      await replace(admin, "public.assess_v6_installation()", ["BEGIN", late]);
      expect(line(await asked(db.migrator, "operations"))).to.match(
        /^passed: \d\d steps as they should be, and rolled back; the installation is assessed: could not run, it takes too long$/,
      );
    }));
});
