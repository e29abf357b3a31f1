import { boundText, type Bounds } from "./bounds";
import { bare, code, table } from "./pages";

/** Why no honest use reaches a bound in bytes, characters or entries, by column. Every such column is named here. */
export const room: Record<string, string> = {
  "patient_consents.consent_evidence":
    "the proof of a consent and of those before it, each some hundred bytes; a consent that was given so often that it is full is revoked and given anew",
  "patient_consents.consent_metadata": "a state, and of the migration its statement",
  "patient_consents.consent_version": "a version",
  "patient_consents.revocation_reason": "three pages of a patient's own words",
  "user_preferences.preferred_units": "a dozen quantities, each with its unit",
  "user_preferences.dashboard_layout": "a layout of a hundred widgets takes a quarter of it",
  "user_preferences.quiet_hours": "four keys",
  "user_preferences.emergency_contacts": "twenty people with 1,600 bytes each",
  "user_preferences.hide_sensitive_conditions": "more conditions than a record has",
  "user_preferences.language": "the longest tag that RFC 5646 (4.4.1) reckons with",
  "user_preferences.secondary_languages": "some twenty languages",
  "document_processing_queue.error_message": "its function keeps the first 4,000 characters",
  "document_processing_queue.leased_by": "a worker's name",
  "document_processing_queue.processing_results": "the text of a book; the document itself is in its own storage",
  "document_processing_pipelines.stages": "stages of one document",
  "notification_queue.title": "one line",
  "notification_queue.body": "a page",
  "notification_queue.data": "keys and links; a digest lists 500 messages in half of it",
  "notification_queue.dedup_key": "a campaign's name, or a key of the sender's",
  "notification_queue.delivery_channels": "there are four",
  "notification_queue.delivered_channels": "there are four",
  "notification_queue.failed_channels": "there are four",
  "notification_queue.leased_by": "a worker's name",
  "notification_delivery_channels.channel_identifier": "device tokens are the longest, with some 200",
  "notification_delivery_channels.notification_types_enabled": "there are 15 types",
  "notification_delivery_channels.verification_hash": "a SHA-256",
  "collaboration_sessions.session_name": "one line",
  "collaborative_clinical_notes.title": "one line",
  "collaborative_clinical_notes.content": "a note of a hundred pages",
  "collaborative_note_versions.title": "that of the note",
  "collaborative_note_versions.content": "that of the note, in the longest letters",
  "collaboration_conflicts.attempted_title": "that of the note",
  "collaboration_conflicts.attempted_content": "that of the note, in the longest letters",
  "fhir_patient_mappings.resource": "a Patient with a photo in it",
  "fhir_observations.resource": "an hour of an ECG as SampledData",
  "fhir_medication_requests.resource": "built of a row of v6",
  "fhir_document_references.resource": "built of a row of v6, without the document",
  "consent_fhir_mappings.resource": "built of a consent",
  "fhir_api_audit.request_url": "an address without its query, of which the route is kept",
  "hl7_messages.raw_message": "a message with a PDF in it",
  "hl7_messages.message_segments": "the same as JSON",
  "hl7_to_fhir_conversions.fhir_resources": "what is made of it",
};

const why = (name: string, column: string): string => room[`${bare(name)}.${column}`] ?? "";

/** The page of what may be written at most. */
export function boundsPage({ users, server }: Bounds): string {
  return [
    "<!-- Made by `npm run docs` from the catalogue of a migrated database; change the CHECKs, and scripts/docs/bounds-page.ts. -->",
    "# How much may be written",
    "Every text, JSON and array that a user can write has a bound, so that nobody makes his own account, or a job of all, fail by what he wrote: PostgreSQL takes a value up to 1 GB, but no JSON above 256 MB and no line of a dump above 1 GB. A bound is a CHECK or, of preferences, what their trigger looks at (a CHECK would be parsed anew in every UPDATE): refused is SQLSTATE 23514, naming constraint or column. Bytes are those of the value as text; of a stored value PostgreSQL's own pg_column_size tells the compressed size.",
    "A test writes every one of these columns as the user, at its bound and above it.",
    "## By users",
    table(
      ["Column", "Written by", "At most", "Room for"],
      users.map((one) => [
        code(`${bare(one.table)}.${one.column}`),
        [...one.rights, ...one.functions.map(code)].join(", "),
        boundText(one),
        why(one.table, one.column),
      ]),
    ),
    "## By the server side",
    "What comes from other systems, or from workers, is bounded too, so that a row can always be dumped and restored. What only operators, the stack or triggers write (flags, sessions, audit trails, pipelines' texts) is not.",
    table(
      ["Column", "At most", "Room for"],
      server.map((one) => [code(`${bare(one.table)}.${one.column}`), boundText(one), why(one.table, one.column)]),
    ),
  ].join("\n\n");
}
