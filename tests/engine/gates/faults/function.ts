import { replace } from "../asked";
import type { Fault } from "./fault";

/** A function of v7 that somebody replaced: its definition with one part put in another's place. */
interface Broken extends Pick<Fault, "check" | "fault" | "says" | "at"> {
  readonly routine: string;
  readonly change: readonly [string, string];
}

const broken: readonly Broken[] = [
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
    at: "end",
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
    at: "schema",
    fault: "a revocation that revokes nothing",
    routine: "public.revoke_patient_consent(uuid, text)",
    change: ["WHERE c.id = p_consent_id AND c.granted;", "WHERE c.id = p_consent_id AND c.granted AND false;"],
    says: /the patient revokes it: not so; from then on the recipient has no access: not so/,
  },
  {
    check: "document-pipeline",
    at: "schema",
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
    at: "schema",
    fault: "a message that is given to every worker",
    routine: "public.claim_notifications(text, integer, interval)",
    change: ["WHEN 'processing' THEN v_now + p_lease", "WHEN 'processing' THEN v_now - interval '30 years'"],
    says: /another worker is not: not so/,
  },
  {
    check: "fhir-build",
    at: "schema",
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
    at: "end",
    fault: "an outcome that nobody is told of (U-4)",
    routine: "public.notify_document_outcome()",
    change: ["  IF NEW.status = 'completed' AND EXISTS (", "  IF NEW.nothing = 'completed' AND EXISTS ("],
    says: /once: not so/,
  },
  {
    check: "care-team-journey",
    at: "end",
    fault: "a removed person who is let in",
    routine: "public.my_collaboration_sessions()",
    change: ["AND p.state IN ('invited', 'joined')", ""],
    says: /nor joins again: not refused/,
  },
  {
    check: "operations",
    at: "end",
    fault: "an emergency rollback that leaves percentages (S-15)",
    routine: "public.emergency_rollback_to_v6()",
    change: [
      "SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'\n    WHERE f.enabled OR",
      "SET enabled = false\n    WHERE f.enabled OR",
    ],
    says: /every feature is: not so/,
  },
];

/** What each function was before. */
const was = new Map<string, string>();

/** Each is seen by the check `definitions` too: it is another function than the module has made. */
export const replaced: readonly Fault[] = broken.map(({ routine, change, ...fault }) => ({
  ...fault,
  also: ["definitions"],
  plant: async ({ admin }) => was.set(routine, await replace(admin, routine, change)),
  undo: ({ admin }) => admin.query(was.get(routine) ?? ""),
}));
