/**
 * Sessions that an account takes part in, as the module's README tells it and not as its policies have it: the patient's own, and
 * those whose participant he is by the patient's word, or by his consent while it lives.
 */
const sessions = `SELECT s.id FROM public.collaboration_sessions s WHERE s.patient_id = $1 OR EXISTS (
  SELECT FROM public.collaboration_participants p WHERE p.session_id = s.id AND p.user_id = $1 AND p.state IN ('invited', 'joined')
    AND (p.admitted_by = 'patient' OR EXISTS (SELECT FROM public.patient_consents c
      WHERE c.patient_id = s.patient_id AND c.granted_to = $1 AND c.consent_type = 'data_sharing' AND c.purpose = 'healthcare_services'
        AND c.resource_type IS NULL AND c.granted AND c.valid_from <= pg_catalog.clock_timestamp()
        AND (c.valid_until IS NULL OR c.valid_until > pg_catalog.clock_timestamp()))))`;

/** Whose rows are whose: the column that says it, and what stands there for an account ($1). */
export interface Ownership {
  readonly column: string;
  /** A query of one column; absent: the account itself. */
  readonly values?: string;
  /** A column with accounts to be sampled, where the first one has none. */
  readonly person?: string;
}

/** Tables whose rows belong to somebody otherwise than by a key to auth.users that takes them along (ON DELETE CASCADE). */
export const ownerships: Readonly<Record<string, Ownership>> = {
  // It outlives the account, and has no key to it.
  "public.patient_consent_audit": { column: "patient_id" },
  "public.collaboration_sessions": { column: "id", values: sessions, person: "patient_id" },
  "public.collaboration_participants": { column: "session_id", values: sessions, person: "user_id" },
  "public.collaborative_clinical_notes": { column: "session_id", values: sessions },
  "public.collaborative_note_versions": { column: "session_id", values: sessions },
  "public.collaboration_conflicts": { column: "session_id", values: sessions },
};
