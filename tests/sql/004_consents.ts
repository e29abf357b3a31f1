import type { Client } from "pg";
import { lines } from "../support/modules";

/** What the consent tests apply. */
export const modules = ["000_audit_log", "004_enhanced_consent"];

export const grant = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2)";
export const grantFor = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2, $3)";
export const refuse = "SELECT public.refuse_patient_consent($1, 'data_sharing', 'healthcare_services', $2)";
export const request = "SELECT public.request_patient_consent($1, 'data_sharing', 'healthcare_services', $2)";
export const revoke = "SELECT public.revoke_patient_consent($1, $2)";
export const check = "SELECT public.check_consent_access($1, $2)";
export const checkFor = "SELECT public.check_consent_access($1, $2, $3)";

/** What the trail says, oldest first. */
export const trail = (client: Client): Promise<string[]> =>
  lines(
    client,
    `SELECT concat_ws(' ', action, previous_state || ' ->', new_state) AS line
     FROM public.patient_consent_audit ORDER BY action_timestamp, id`,
  );

/** The rows of the migration, as the owner writes them. */
export const backfill = (mode: "assumed" | "pending"): string => `
  INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, explicit_consent,
    consent_evidence, consent_metadata, valid_from, created_at)
  SELECT id, 'data_sharing', 'healthcare_services', ${mode === "assumed"}, '${mode === "assumed" ? "contract" : "consent"}', false,
    '{"source": "guardian v6", "statement": "terms of use"}', '${mode === "assumed" ? "{}" : '{"state": "pending"}'}', created_at, created_at
  FROM auth.users WHERE created_at < now() - interval '1 day' ON CONFLICT DO NOTHING`;
