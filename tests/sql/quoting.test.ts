import { expect } from "chai";
import { escapeIdentifier, type Client } from "pg";
import { quoteName } from "../../engine/base/sql";
import { testOn } from "../support/modules";
import { callable, callOf, tryAs, twoPatients } from "./callers";
import { listed, modules } from "./every_module";

/** What one argument is instead: of each type what a column of it may refuse. */
const odd: Record<string, string[]> = {
  uuid: ["NULL::uuid"],
  text: ["NULL::text", "'Zq'", "repeat('x', 201000)"],
  "text[]": ["NULL::text[]", "'{Zq}'::text[]", "array_fill('email'::text, ARRAY[300])"],
  jsonb: ["'7'::jsonb", "jsonb_build_object('k', repeat('x', 1100000))"],
  integer: ["-1"],
  numeric: ["7"],
  "timestamp with time zone": ["'2001-01-01'::timestamptz"],
};

/** Two patients' rows, and the CHECKs, which theirs keep. */
async function prepare(admin: Client): Promise<void> {
  const { rows } = await admin.query<{ table: string; name: string; check: string }>(
    `SELECT t AS table, k.conname AS name, pg_get_constraintdef(k.oid) AS check
     FROM unnest($1::text[]) AS t JOIN pg_constraint k ON k.conrelid = t::regclass WHERE k.contype = 'c'`,
    [listed("table")],
  );
  await twoPatients(admin);
  await admin.query(`BEGIN; SET LOCAL session_replication_role = replica;
    UPDATE public.collaboration_sessions SET session_type = 'care_team_meeting';
    UPDATE public.collaborative_clinical_notes SET note_type = 'progress_note';
    UPDATE public.collaboration_conflicts SET conflict_type = 'version_mismatch';
    UPDATE public.document_processing_queue SET processor_type = 'ocr_extraction', status = 'processing',
      lease_token = public.lease_digest(id);
    UPDATE public.notification_queue SET notification_type = 'care_team_message', status = 'processing',
      lease_token = public.lease_digest(id);
    UPDATE public.notification_delivery_channels SET channel_type = 'push', channel_identifier = 'fcm:1';
    UPDATE public.patient_consents SET consent_type = 'data_sharing', legal_basis = 'consent';
    COMMIT`);
  const again = rows.map(
    ({ table, name, check }) =>
      `ALTER TABLE ${quoteName(table)} ADD CONSTRAINT ${escapeIdentifier(name)} ${check} NOT VALID`,
  );
  await admin.query(again.join("; "));
}

/** What these need tests of their modules give: a valid resource, a JWE, an operator. */
const refusedAsUsual = [
  "public.enable_feature_for_user",
  "public.fhir_to_guardian_observation",
  "public.fhir_to_guardian_patient",
  "public.store_fhir_tokens",
];

describe("what an error tells of a row", function () {
  this.timeout(120_000);

  testOn(modules)(
    "16-14 no function's error quotes a row, whatever it is given that a column does not take",
    async (_client, db) => {
      const admin = await db.connect("admin");
      await prepare(admin);
      const told: string[] = [];
      const usual: string[] = [];
      const seen = new Set<string>();
      let refused = 0;
      for (const role of ["authenticated", "service_role"]) {
        for (const routine of await callable(admin, role)) {
          if (seen.has(routine.name)) continue;
          seen.add(routine.name);
          const name = routine.name.replace(/\(.*$/, "");
          if ((await tryAs(admin, role, callOf(routine))).error !== undefined) usual.push(name);
          for (const [i, argument] of routine.args.entries()) {
            for (const given of odd[argument.type] ?? []) {
              const { error } = await tryAs(admin, role, callOf(routine, { [i]: given }));
              if (error !== undefined) refused += 1;
              if (error !== undefined && /Failing row|Zq|xxxx/.test(error))
                told.push(`${name} ${argument.name} = ${given}`);
            }
          }
        }
      }
      expect(usual.sort(), "calls that reach no row").to.deep.equal(refusedAsUsual);
      expect(refused).to.be.above(80);
      expect(told).to.deep.equal([]);
    },
  );
});
