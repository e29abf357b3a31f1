import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { readSequences, readTables } from "../../../engine/fingerprint/content";
import { v6Tables } from "../../../spec/roles";
import { couldRunAgain } from "../../../engine/gates/check";
import { withEngine } from "../module/harness";
import type { V6 } from "../../support/postgres";
import { asked, line, replace } from "./asked";

const names = [
  "flag-share",
  "consent-flow",
  "document-pipeline",
  "notification-once",
  "fhir-build",
  "patient-journey",
  "care-team-journey",
  "operations",
];

/** A function of v7 that somebody replaced: its definition with one part put in another's place. */
interface Broken {
  check: string;
  fault: string;
  routine: string;
  change: [string, string];
  says: RegExp;
}

const broken: Broken[] = [
  {
    check: "flag-share",
    fault: "a rollout that draws anew each time",
    routine: "public.feature_is_on(text, uuid)",
    change: [
      "('x' || left(encode(sha256(convert_to(f.feature_name || ':' || p_user_id, 'UTF8')), 'hex'), 8))\n      ::bit(32)::bigint % 100",
      "random() * 100",
    ],
    says: /asked again it is the same ones: not so/,
  },
  {
    check: "flag-share",
    fault: "a bucket that ignores the flag (F-2)",
    routine: "public.feature_is_on(text, uuid)",
    change: ["f.feature_name || ':' || p_user_id", "p_user_id::text"],
    says: /another flag begins with other users: not so/,
  },
  {
    check: "flag-share",
    fault: "a gate that is not asked",
    routine: "public.feature_is_on(text, uuid)",
    change: ["SELECT f.enabled AND (", "SELECT ("],
    says: /a flag that is off is on for nobody, at 100 % too: not so/,
  },
  {
    check: "consent-flow",
    fault: "a general consent to everybody (C-4)",
    routine: "public.check_consent_access(uuid, uuid, text, text, text)",
    change: ["AND c.granted_to = p_accessor_id AND", "AND"],
    says: /and nobody else has: not so/,
  },
  {
    check: "consent-flow",
    fault: "a revocation by anybody (C-5)",
    routine: "public.revoke_patient_consent(uuid, text)",
    change: ["PERFORM public.require_patient(", "PERFORM ("],
    says: /a third person does not revoke it: not refused/,
  },
  {
    check: "consent-flow",
    fault: "a revocation that revokes nothing",
    routine: "public.revoke_patient_consent(uuid, text)",
    change: ["WHERE c.id = p_consent_id AND c.granted;", "WHERE c.id = p_consent_id AND c.granted AND false;"],
    says: /the patient revokes it: not so; from then on the recipient has no access: not so/,
  },
  {
    check: "document-pipeline",
    fault: "a stage that queues none after it",
    routine: "public.advance_document_run(uuid, uuid)",
    change: ["AND q.status = 'waiting'", "AND q.status = 'nowhere'"],
    says: /it is stage map of this run: not so/,
  },
  {
    check: "document-pipeline",
    fault: "a lease that anybody completes",
    routine: "public.complete_document_work(uuid, uuid, jsonb, numeric, boolean)",
    change: ["WHERE q.id = p_id AND q.lease_token = public.lease_digest(p_lease_token);", "WHERE q.id = p_id;"],
    says: /another's token completes nothing: not so/,
  },
  {
    check: "document-pipeline",
    fault: "a function that writes to v6, whose triggers call out",
    routine: "public.complete_document_work(uuid, uuid, jsonb, numeric, boolean)",
    change: [
      "PERFORM public.advance_document_run(",
      "UPDATE public.documents SET ocr_confidence = ocr_confidence WHERE id = v_row.document_id; PERFORM public.advance_document_run(",
    ],
    says: /public\.documents was written to, and rolled back/,
  },
  {
    check: "notification-once",
    fault: "a message that is given to every worker",
    routine: "public.claim_notifications(text, integer, interval)",
    change: ["WHEN 'processing' THEN v_now + p_lease", "WHEN 'processing' THEN v_now - interval '30 years'"],
    says: /another worker is not: not so/,
  },
  {
    check: "fhir-build",
    fault: "a validator that takes everything",
    routine: "public.validate_fhir_resource(text, jsonb, text)",
    change: ["i.errors = '[]', i.errors,", "true, '[]',"],
    says: /it is found not to be valid: not so/,
  },
  {
    check: "fhir-build",
    fault: "a Patient with an empty name (I-2)",
    routine: "public.guardian_to_fhir_patient(uuid)",
    change: ["RETURN v_resource;", "RETURN v_resource || '{\"name\": []}';"],
    says: /each Patient is valid \(Patient\.name\): not so/,
  },
  {
    check: "patient-journey",
    fault: "an outcome that nobody is told of (U-4)",
    routine: "public.notify_document_outcome()",
    change: ["  IF NEW.status = 'completed' AND EXISTS (", "  IF NEW.nothing = 'completed' AND EXISTS ("],
    says: /once: not so/,
  },
  {
    check: "care-team-journey",
    fault: "a removed person who is let in",
    routine: "public.my_collaboration_sessions()",
    change: ["AND p.state IN ('invited', 'joined')", ""],
    says: /nor joins again: not refused/,
  },
  {
    check: "operations",
    fault: "an emergency rollback that leaves percentages (S-15)",
    routine: "public.emergency_rollback_to_v6()",
    change: [
      "SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'\n    WHERE f.enabled OR",
      "SET enabled = false\n    WHERE f.enabled OR",
    ],
    says: /every feature is: not so/,
  },
];

/** Everything that a trial could leave: each row with where it lies and who wrote it, sequences, and what the server counted of v6. */
async function everything(admin: Client): Promise<Record<string, unknown>> {
  await admin.query("SELECT pg_stat_force_next_flush()");
  const { rows: writes } = await admin.query<Record<string, unknown>>(
    `SELECT relid::regclass::text AS name, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_all_tables
     WHERE relid = ANY ($1::text[]::regclass[]) ORDER BY 1`,
    [v6Tables],
  );
  return { writes, tables: await readTables(admin, [], true), sequences: await readSequences(admin, []) };
}

describe("gates: function", function () {
  this.timeout(120_000);

  /** Everything applied, on a v6 with accounts and documents. */
  const applied = (test: (db: V6, admin: Client) => Promise<void>): Promise<void> =>
    withEngine(async (_engine, db) => test(db, await db.connect("admin")), { modules: allModules() });

  it("19-7 passes each check, and leaves nothing behind: no row of v6 or v7, no write of v6 that the server counted", () =>
    applied(async (db, admin) => {
      const before = await everything(admin);
      for (const name of names) {
        const outcome = await asked(db.migrator, name);
        expect(line(outcome), name).to.match(/^passed: \d+ steps as they should be, and rolled back/);
        // Of a record, and not of a patient alone.
        if (name === "fhir-build") expect(outcome.figures?.["resources"]).to.be.above(3);
        expect(outcome.evidence.join(), "no row's value").not.to.match(/[0-9a-f]{8}-[0-9a-f]{4}-|@/);
      }
      expect(await everything(admin)).to.deep.equal(before);
    }));

  it("19-7 finds each function that was replaced by a broken one", () =>
    applied(async (db, admin) => {
      for (const one of broken) {
        const was = await replace(admin, one.routine, one.change);
        const found = await asked(db.migrator, one.check).finally(() => admin.query(was));
        expect(line(found), `${one.check}: ${one.fault}`).to.match(one.says);
        expect(found.verdict, one.fault).to.equal("failed");
      }
    }));

  it("19-7 waits for nobody: where somebody holds a lock it could not run", () =>
    applied(async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.patient_consents");
      const began = performance.now();
      const { verdict, evidence, again } = await asked(db.migrator, "consent-flow");
      await admin.query("ROLLBACK");
      expect(again, "next time").to.equal(true);
      expect([verdict, ...evidence]).to.deep.equal([
        "could not run",
        "without a consent a recipient has no access: somebody holds a lock, SQLSTATE 55P03",
      ]);
      expect(couldRunAgain({ verdict, evidence }), "the next up asks again").to.equal(true);
      expect(performance.now() - began).to.be.below(10_000);
    }));

  it("19-7 does not apply without an account or a document, nor for a role that does not own v7 could it run", () =>
    applied(async (db, admin) => {
      const auditor = `auditor_${db.name}`;
      await admin.query(
        `CREATE ROLE ${auditor} LOGIN BYPASSRLS PASSWORD 'of-no-worth'; GRANT pg_read_all_data TO ${auditor}`,
      );
      const found = await asked({ ...db.migrator, user: auditor, password: "of-no-worth" }, "consent-flow").finally(
        () => admin.query(`DROP ROLE ${auditor}`),
      );
      expect(line(found)).to.equal("could not run: this role does not own v7's tables");
      await admin.query("UPDATE public.documents SET user_id = NULL");
      expect(line(await asked(db.migrator, "document-pipeline"))).to.equal(
        "not applicable: there is no document that belongs to an account",
      );
      await admin.query("DELETE FROM auth.users WHERE id <> (SELECT min(id::text)::uuid FROM auth.users)");
      expect(line(await asked(db.migrator, "care-team-journey"))).to.match(
        /^not applicable: there is one account only/,
      );
      await admin.query("UPDATE auth.users SET deleted_at = now()");
      expect(line(await asked(db.migrator, "consent-flow"))).to.equal("not applicable: there is no account");
    }));

  it("19-7 does not apply where its modules are not applied", () =>
    withEngine(
      async (_engine, db) => {
        expect(line(await asked(db.migrator, "flag-share"))).to.match(/^passed/);
        expect(line(await asked(db.migrator, "consent-flow"))).to.match(
          /^not applicable: no module that is applied makes public\.grant_patient_consent,/,
        );
        expect((await asked(db.migrator, "permissions")).verdict).to.equal("passed");
        expect((await asked(db.migrator, "sampled-users")).verdict).to.equal("passed");
      },
      { modules: allModules().slice(0, 2) },
    ));
});
