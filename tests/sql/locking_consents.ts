import type { Group } from "./locking";

const id = "00000000-0000-0000-0000-000000000001";

/** Module 004: what is decided about one kind of consent of a patient. */
export function consentGroup([patient, doctor]: readonly string[]): Group {
  const kind = `'${patient}', 'data_sharing', 'healthcare_services', '${doctor}'`;
  const row = (values: string) => `
    DELETE FROM public.patient_consents; DELETE FROM public.user_consent_preferences;
    INSERT INTO public.user_consent_preferences (user_id, auto_renew_enabled, require_explicit_consent) VALUES ('${patient}', true, false);
    INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, id, legal_basis, ${values}`;
  const by = (user: string | undefined, of: string, call: string) => ({
    of: `public.${of}`,
    by: user!,
    sql: `SELECT public.${call}`,
  });
  return {
    name: "a patient's consent",
    worlds: {
      "it is granted": row(
        `granted, valid_from, valid_until) VALUES (${kind}, '${id}', 'consent', true, now() - interval '1 day', now() + interval '1 day')`,
      ),
      "its time is over": row(
        `granted, valid_from, valid_until, end_by_default) VALUES (${kind}, '${id}', 'consent', true, now() - interval '2 days', now() - interval '1 day', true)`,
      ),
      "it is asked for": row(`consent_metadata) VALUES (${kind}, '${id}', 'consent', '{"state": "pending"}')`),
    },
    calls: {
      grant: by(
        patient,
        "grant_patient_consent(uuid, text, text, uuid, text, timestamp with time zone, boolean, jsonb)",
        `grant_patient_consent(${kind}, p_explicit_consent => false)`,
      ),
      request: by(
        "service_role",
        "request_patient_consent(uuid, text, text, uuid, text)",
        `request_patient_consent(${kind}) IS NOT NULL`,
      ),
      refuse: by(
        patient,
        "refuse_patient_consent(uuid, text, text, uuid, text, text)",
        `refuse_patient_consent(${kind}) IS NOT NULL`,
      ),
      revoke: by(patient, "revoke_patient_consent(uuid, text)", `revoke_patient_consent('${id}')`),
      renew: by(patient, "renew_patient_consent(uuid, timestamp with time zone)", `renew_patient_consent('${id}')`),
      "end his": by("service_role", "expire_patient_consents(uuid)", `expire_patient_consents('${patient}')`),
      "end all": by("service_role", "expire_patient_consents(uuid)", "expire_patient_consents()"),
    },
    state: `SELECT jsonb_agg(l.line ORDER BY l.line) FROM (SELECT concat_ws(' ',
      public.consent_state(c.granted, c.revoked_at, NULL, c.consent_metadata, NULL), c.explicit_consent,
      round(extract(epoch FROM c.valid_until - now()) / 86400), c.id = '${id}') FROM public.patient_consents AS c) AS l (line)`,
    hold: `SELECT pg_advisory_xact_lock(hashtextextended('patient_consents ' || '${patient}', 0));
      SELECT FROM public.patient_consents FOR UPDATE`,
    changes: {
      "he wants no renewal any more": "UPDATE public.user_consent_preferences SET auto_renew_enabled = false",
      "he wants to be asked explicitly": "UPDATE public.user_consent_preferences SET require_explicit_consent = true",
      "he wants another duration": "UPDATE public.user_consent_preferences SET default_consent_duration = '10 days'",
      "it is taken back":
        "UPDATE public.patient_consents SET granted = false, revoked_at = clock_timestamp(), consent_metadata = '{}'",
      "it is taken back and given anew": `UPDATE public.patient_consents SET granted = false, revoked_at = clock_timestamp(), consent_metadata = '{}';
        INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, legal_basis, granted) VALUES (${kind}, 'consent', true)`,
      "it is prolonged": "UPDATE public.patient_consents SET valid_until = now() + interval '100 days' WHERE granted",
    },
  };
}
