import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { readSequences, readTables } from "../../../engine/fingerprint/content";
import { v6Tables } from "../../../spec/roles";
import { withEngine } from "../module/harness";
import { applied, asked, line } from "./asked";
import { lastly } from "../../support/lastly";

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

  it("19-7 waits for nobody: where somebody holds a lock it could not run", () =>
    applied(async (db, admin) => {
      await admin.query("BEGIN; LOCK TABLE public.patient_consents");
      const { verdict, evidence, again } = await asked(db.migrator, "consent-flow");
      await admin.query("ROLLBACK");
      expect(again, "next time").to.equal(true);
      expect([verdict, ...evidence]).to.deep.equal([
        "could not run",
        "without a consent a recipient has no access: somebody holds a lock, SQLSTATE 55P03",
      ]);
    }));

  it("19-7 does not apply without an account or a document, nor for a role that does not own v7 could it run", () =>
    applied(async (db, admin) => {
      const auditor = `auditor_${db.name}`;
      await admin.query(
        `CREATE ROLE ${auditor} LOGIN BYPASSRLS PASSWORD 'of-no-worth'; GRANT pg_read_all_data TO ${auditor}`,
      );
      const found = await lastly(
        asked({ ...db.migrator, user: auditor, password: "of-no-worth" }, "consent-flow"),
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
