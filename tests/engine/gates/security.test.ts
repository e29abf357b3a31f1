import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { Database } from "../../../engine/database";
import { runCheck } from "../../../engine/gates/check";
import { sampledUsersWithin } from "../../../engine/gates/security/sampled-users";
import { settingsOf, withEngine } from "../module/harness";
import { major, type V6 } from "../../support/postgres";
import { main as grants } from "../../../scripts/grants";
import { asked, declared, eachIsFound, line, type Planted } from "./asked";

/** Rows of many accounts, as an application that works has them. */
const rowsOfMany = `
  INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users ON CONFLICT DO NOTHING;
  INSERT INTO public.notification_queue (user_id, notification_type, title, body)
    SELECT id, 'security_alert', 'of ' || row_number() OVER (), 'a word' FROM auth.users;
  INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, consent_evidence)
    SELECT id, 'data_sharing', 'healthcare_services', true, 'consent', '{"form": 1}' FROM auth.users;
  INSERT INTO public.collaboration_sessions (patient_id, session_name, session_type, session_owner)
    SELECT id, 'round', 'treatment_planning', id FROM auth.users ORDER BY id LIMIT 10;`;

/** Ways in which row security gets lost, each by somebody's own hand. */
const planted: Planted[] = [
  {
    check: "row-security",
    fault: "row security off",
    says: /"public"\."patient_consents" has row security off/,
    plant: "ALTER TABLE public.patient_consents DISABLE ROW LEVEL SECURITY",
    undo: "ALTER TABLE public.patient_consents ENABLE ROW LEVEL SECURITY",
  },
  {
    check: "row-security",
    fault: "a policy for PUBLIC",
    says: /policy "leak" of "public"\."patient_consents" is for PUBLIC/,
    plant: "CREATE POLICY leak ON public.patient_consents USING (true)",
    undo: "DROP POLICY leak ON public.patient_consents",
  },
  {
    check: "row-security",
    fault: "a policy that shows users everything",
    says: /policy "leak" shows users every row of "public"\."user_preferences"/,
    plant: "CREATE POLICY leak ON public.user_preferences FOR SELECT TO authenticated USING (true)",
    undo: "DROP POLICY leak ON public.user_preferences",
  },
  {
    check: "row-security",
    fault: "the policy for what a user writes dropped",
    says: /authenticated may UPDATE on "public"\."user_preferences", and no policy is about that/,
    plant: "DROP POLICY user_preferences_own_update ON public.user_preferences",
    undo: `CREATE POLICY user_preferences_own_update ON public.user_preferences FOR UPDATE TO authenticated
      USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()))`,
  },
  {
    check: "sampled-users",
    fault: "a policy whose condition is always true",
    says: /sampled users see rows of "public"\."notification_queue" that are not theirs/,
    plant: "ALTER POLICY notification_queue_own ON public.notification_queue USING (user_id IS NOT NULL)",
    undo: "ALTER POLICY notification_queue_own ON public.notification_queue USING (user_id = (SELECT auth.uid()))",
  },
  {
    check: "sampled-users",
    fault: "general consents shown to everybody (C-3)",
    says: /sampled users see rows of "public"\."patient_consents" that are not theirs/,
    plant:
      "CREATE POLICY leak ON public.patient_consents FOR SELECT TO authenticated USING (granted AND granted_to IS NULL)",
    undo: "DROP POLICY leak ON public.patient_consents",
  },
  {
    check: "sampled-users",
    fault: "one patient's rows shown to everybody",
    says: /of \d+ sampled users see rows of "public"\."patient_consents" that are not theirs/,
    plant: `CREATE POLICY leak ON public.patient_consents FOR SELECT TO authenticated USING (patient_id = (SELECT min(patient_id::text) FROM public.user_of_the_day)::uuid)`,
    undo: "DROP POLICY leak ON public.patient_consents",
  },
  {
    check: "sampled-users",
    fault: "a policy that hides a user's own rows",
    says: /sampled users do not see all of their rows of "public"\."user_preferences"/,
    plant:
      "ALTER POLICY user_preferences_own_read ON public.user_preferences USING (user_id = (SELECT auth.uid()) AND theme <> 'system')",
    undo: "ALTER POLICY user_preferences_own_read ON public.user_preferences USING (user_id = (SELECT auth.uid()))",
  },
  {
    check: "permissions",
    fault: "a role of the API past row security",
    says: /authenticated has BYPASSRLS: row security does not stop it/,
    plant: "ALTER ROLE authenticated BYPASSRLS",
    undo: "ALTER ROLE authenticated NOBYPASSRLS",
  },
  {
    check: "permissions",
    fault: "users made members of the server's role",
    says: /authenticated is a member of service_role: row security does not stop it/,
    plant: "GRANT service_role TO authenticated",
    undo: "REVOKE service_role FROM authenticated",
  },
  {
    check: "permissions",
    fault: "a right to write, with a policy that lets it through",
    says: /authenticated may DELETE "public"\."notification_queue", which docs\/permissions\.md does not give/,
    plant:
      "GRANT DELETE ON public.notification_queue TO authenticated; CREATE POLICY leak ON public.notification_queue FOR DELETE TO authenticated USING (user_id IS NOT NULL)",
    undo: "REVOKE DELETE ON public.notification_queue FROM authenticated; DROP POLICY leak ON public.notification_queue",
  },
  {
    check: "views",
    fault: "a view of v7, over v6's tables, with its owner's rights",
    says: /"public"\."guardian_fhir_lab_observations" is v7's own, and reads with its owner's rights/,
    plant: "ALTER VIEW public.guardian_fhir_lab_observations SET (security_invoker = false)",
    undo: "ALTER VIEW public.guardian_fhir_lab_observations SET (security_invoker = true)",
  },
];

/** Rights that nobody is to have, by other ways than row security. */
const rights: Planted[] = [
  {
    check: "permissions",
    fault: "a column that was left out",
    says: /authenticated may SELECT "public"\."document_processing_queue" \(lease_token\)/,
    plant: "GRANT SELECT (lease_token) ON public.document_processing_queue TO authenticated",
    undo: "REVOKE SELECT (lease_token) ON public.document_processing_queue FROM authenticated",
  },
  {
    check: "permissions",
    fault: "a function for everybody",
    says: /PUBLIC may EXECUTE public\.enqueue_document\(uuid, text, integer, uuid\)/,
    plant: "GRANT EXECUTE ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) TO PUBLIC",
    undo: "REVOKE EXECUTE ON FUNCTION public.enqueue_document(uuid, text, integer, uuid) FROM PUBLIC",
  },
  {
    check: "permissions",
    fault: "the operator reading consents, of which verify.sql says nothing",
    says: /guardian_operator may SELECT "public"\."patient_consents"/,
    plant: "GRANT SELECT ON public.patient_consents TO guardian_operator",
    undo: "REVOKE SELECT ON public.patient_consents FROM guardian_operator",
  },
  {
    check: "permissions",
    fault: "another role of the server's",
    says: /supabase_auth_admin may SELECT "public"\."audit_log"/,
    plant: "GRANT SELECT ON public.audit_log TO supabase_auth_admin",
    undo: "REVOKE SELECT ON public.audit_log FROM supabase_auth_admin",
  },
  {
    check: "permissions",
    fault: "a right that is lacking",
    says: /^warned: authenticated may not EXECUTE public\.my_feature_flags\(\), which docs\/permissions\.md gives/,
    plant: "REVOKE EXECUTE ON FUNCTION public.my_feature_flags() FROM authenticated",
    undo: "GRANT EXECUTE ON FUNCTION public.my_feature_flags() TO authenticated",
  },
  {
    check: "sampled-users",
    fault: "a function that a policy asks",
    says: /sampled users see rows of "public"\."collaboration_sessions" that are not theirs/,
    plant:
      "CREATE OR REPLACE FUNCTION public.my_collaboration_sessions() RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT id FROM public.collaboration_sessions'",
    undo: "SELECT 1",
  },
];

describe("gates: security", function () {
  this.timeout(120_000);

  const applied = (test: (db: V6, admin: Client) => Promise<void>): Promise<void> =>
    withEngine(
      async (_engine, db) => {
        const admin = await db.connect("admin");
        await admin.query(rowsOfMany);
        await test(db, admin);
      },
      { modules: allModules() },
    );

  it("19-6 twelve planted defects of row security, twelve caught, and none before", () =>
    applied(async (db, admin) => {
      await admin.query(
        "CREATE TABLE public.user_of_the_day AS SELECT min(id::text) AS patient_id FROM auth.users; GRANT SELECT ON public.user_of_the_day TO authenticated",
      );
      expect(planted).to.have.length(12);
      await eachIsFound(admin, db.migrator, planted);
    }));

  it("19-6 finds a right beyond docs/permissions.md, of whomever and on whatever, and a policy's function that was replaced", () =>
    applied((db, admin) => eachIsFound(admin, db.migrator, rights)));

  it("19-6 sampled users are told by counts, and no id or value is in the evidence", () =>
    applied(async (db) => {
      const { verdict, evidence, figures } = await asked(db.migrator, "sampled-users");
      expect([verdict, figures?.["wrong"]]).to.deep.equal(["passed", 0]);
      expect(figures?.["users"]).to.be.at.least(8);
      expect(figures?.["rowsSeen"]).to.be.at.least(8 * 3);
      expect(figures?.["ownTables"]).to.be.within(4, 10);
      expect(evidence[0]).to.match(/^\d+ users see their own rows of \d tables, \d+ in all, and nobody else's of \d+$/);
      expect(evidence.join()).not.to.match(/[0-9a-f]{8}-|@|a word/);
    }));

  it("19-6 sampled users are not asked for by turns where a table gave one of them no answer in time, nor for long in all", () =>
    applied(async (db, admin) => {
      await admin.query(
        `ALTER POLICY notification_queue_own ON public.notification_queue USING (pg_catalog.pg_sleep(3)::text = 'never')`,
      );
      const slow = await asked(db.migrator, "sampled-users");
      expect(line(slow)).to.equal('could not run: no answer: "public"."notification_queue" (not in 2 s)');
      expect(slow.seconds).to.be.below(10);
      const host = new Database(settingsOf(db.migrator));
      const none = await runCheck(sampledUsersWithin(0), host, declared).finally(() => host.close());
      expect(line(none)).to.match(/^could not run: no answer: "[^ ]+ \(not asked: 0 s were over\), .* and \d+ more$/);
      expect(none.figures).to.deep.include({ rowsSeen: 0, wrong: 0 });
    }));

  it("19-6 sampled users of the other tables are asked for where the owners of one are not found in time", () =>
    applied(async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.notification_queue");
      const done = sleep(2800).then(() => admin.query("COMMIT"));
      const found = await asked(db.migrator, "sampled-users");
      await done;
      expect(line(found)).to.equal(
        'could not run: no answer: "public"."notification_queue" (whom to ask for: not in 2 s)',
      );
      expect(found.figures?.["rowsSeen"]).to.be.at.least(8 * 3);
    }));

  it("19-6 without membership in the API's roles it could not run, and says what lists the missing GRANTs", () =>
    applied(async (db, admin) => {
      await admin.query("REVOKE anon, authenticated FROM guardian_migrator");
      try {
        for (const name of ["strangers", "sampled-users"]) {
          const { verdict, evidence, mend } = await asked(db.migrator, name);
          expect([verdict, ...evidence]).to.deep.equal([
            "could not run",
            "this role is no member of anon, authenticated",
          ]);
          expect(mend?.join()).to.match(/npm run grants -- --gates/);
        }
        // Function is tried all the same, and it is said how.
        expect(line(await asked(db.migrator, "consent-flow"))).to.match(/^passed: .*asked with the owner's rights/);
        const printed: string[] = [];
        const to = { print: (text: string) => void printed.push(...text.split("\n")), say: () => undefined };
        const of = ["--role", "guardian_migrator", "--database", db.name, "--server", String(major)];
        expect(await grants(of, to)).to.equal(0);
        expect(
          printed.filter((text) => /^-- GRANT (anon|authenticated) TO "guardian_migrator"/.test(text)),
        ).to.have.length(2);
        printed.length = 0;
        expect(await grants([...of, "--gates"], to)).to.equal(0);
        for (const text of printed.filter((one) => /^GRANT (anon|authenticated) /.test(one))) await admin.query(text);
        for (const name of ["strangers", "sampled-users"])
          expect(line(await asked(db.migrator, name)), name).to.match(/^passed/);
      } finally {
        await admin.query(
          "REVOKE anon, authenticated FROM guardian_migrator; GRANT anon, authenticated TO guardian_migrator",
        );
      }
    }));
});
