import type { Client } from "pg";
import type { Bounds } from "../../scripts/docs/bounds";
import { accounts, queryAs } from "../support/modules";
import { create, join as enter, save } from "./008_sessions";

/** Writes a value, as its user does. */
type Try = (given: unknown) => Promise<unknown>;

/** The same JSON, made longer by a key of its own or an entry until its text has so many bytes. */
export function padded(json: object, bytes: number): string {
  const padding = (n: number): object => (Array.isArray(json) ? ["x".repeat(n)] : { ...json, pad: "x".repeat(n) });
  // As PostgreSQL writes it: a blank after each colon and comma.
  const size = (it: object): number =>
    JSON.stringify(it).length + (Array.isArray(it) ? it.length - 1 : Object.keys(it).length * 2 - 1);
  return JSON.stringify(padding(bytes - size(padding(0))));
}

/** An array of so many entries whose text, `{a,b}`, has so many bytes. */
export const entries = (n: number, bytes: number): string[] =>
  Array.from({ length: n }, (_none, i) => (i === 0 ? "x".repeat(bytes - 2 * n) : "x"));

/** Users who have a row of each kind, and how they write each column. */
export async function writers(client: Client): Promise<Record<string, Try>> {
  const [patient, doctor] = await accounts(client);
  await client.query("UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100");
  const as = (user: string, text: string, values: unknown[]): Promise<unknown> =>
    queryAs(client, "authenticated", user, text, values);
  const grant = "SELECT public.grant_patient_consent(p_patient_id => $1, p_consent_type => $2, p_purpose => $3";
  await as(patient, `${grant}, p_granted_to => $4)`, [patient, "data_sharing", "healthcare_services", doctor]);
  await as(patient, "INSERT INTO public.user_preferences (user_id) VALUES ($1)", [patient]);
  await as(patient, "INSERT INTO public.user_consent_preferences (user_id) VALUES ($1)", [patient]);
  await as(patient, "SELECT public.add_notification_channel('email', 'ann@example.org')", []);
  const session = await create(client, doctor, patient);
  await enter(client, patient, session);
  await enter(client, doctor, session);
  const { note_id: note } = await save(client, doctor, session, "text");
  await save(client, doctor, session, "text", note, 1);
  let purposes = 0;
  const fresh = (): string => `purpose_${++purposes}`;
  const own =
    (table: string, column: string): Try =>
    (given) =>
      as(patient, `UPDATE public.${table} SET ${column} = $2 WHERE user_id = $1`, [patient, given]);
  const columns: Record<string, string[]> = {
    user_preferences: [
      ...["theme", "font_size", "font_family", "color_blind_support", "language", "secondary_languages", "timezone"],
      ...["date_format", "time_format", "preferred_units", "medical_terminology_level", "hide_sensitive_conditions"],
      ...["dashboard_layout", "notification_channels", "notification_frequency", "quiet_hours"],
      ...["default_sharing_level", "emergency_contacts", "family_access_level", "preferred_export_format"],
      "auto_backup_frequency",
    ],
    user_consent_preferences: ["notification_method"],
    notification_delivery_channels: ["notification_types_enabled", "priority_threshold"],
  };
  const plain = Object.entries(columns).flatMap(([table, names]) =>
    names.map((column): [string, Try] => [`${table}.${column}`, own(table, column)]),
  );
  const written = (title: unknown, content: unknown, version: number | null = null): Promise<unknown> =>
    as(doctor, "SELECT public.save_collaborative_note($1, $2, $3, $4, $5)", [
      session,
      title,
      content,
      version === null ? null : note,
      version,
    ]);
  const noted = (kind: string, format: string): Promise<unknown> =>
    as(doctor, "SELECT public.save_collaborative_note($1, 't', 'c', NULL, NULL, $2, $3)", [session, kind, format]);
  const granted = (more: Record<string, unknown>): Promise<unknown> => {
    const about = { p_patient_id: patient, p_consent_type: "data_sharing", p_purpose: fresh(), p_granted_to: doctor };
    const given = Object.entries({ ...about, ...more });
    const list = given.map(([name], i) => `${name} => $${i + 1}`).join(", ");
    return as(
      patient,
      `SELECT public.grant_patient_consent(${list})`,
      given.map(([, value]) => value),
    );
  };
  return {
    "patient_consents.consent_type": (given) => granted({ p_consent_type: given }),
    "patient_consents.resource_type": (given) => granted({ p_resource_type: given }),
    "patient_consents.purpose": (given) => granted({ p_purpose: given }),
    "patient_consents.consent_evidence": (given) => granted({ p_consent_evidence: given }),
    "patient_consents.revocation_reason": (given) =>
      as(patient, "SELECT public.refuse_patient_consent($1, 'family_access', $2, p_reason => $3)", [
        patient,
        fresh(),
        given,
      ]),
    ...Object.fromEntries(plain),
    "notification_delivery_channels.channel_type": (given) =>
      as(patient, "SELECT public.add_notification_channel($1, 'somebody else')", [given]),
    "notification_delivery_channels.channel_identifier": (given) =>
      as(patient, "SELECT public.add_notification_channel('push', $1)", [given]),
    "collaboration_sessions.session_name": (given) =>
      as(doctor, "SELECT public.create_collaboration_session($1, $2, 'care_team_meeting')", [patient, given]),
    "collaboration_sessions.session_type": (given) =>
      as(doctor, "SELECT public.create_collaboration_session($1, 'Round', $2)", [patient, given]),
    "collaboration_participants.role": (given) =>
      as(patient, "SELECT public.invite_to_collaboration($1, $2, $3)", [session, doctor, given]),
    "collaborative_clinical_notes.note_type": (given) => noted(String(given), "markdown"),
    "collaborative_clinical_notes.content_format": (given) => noted("progress_note", String(given)),
    "collaborative_clinical_notes.title": (given) => written(given, "c"),
    "collaborative_clinical_notes.content": (given) => written("t", given),
    "collaborative_clinical_notes.editorial_status": (given) =>
      as(doctor, "SELECT public.set_note_status($1, $2, 2)", [note, given]),
    "collaborative_note_versions.title": (given) => written(given, "c"),
    "collaborative_note_versions.content": (given) => written("t", given),
    "collaboration_conflicts.attempted_title": (given) => written(given, "c", 1),
    "collaboration_conflicts.attempted_content": (given) => written("t", given, 1),
  };
}

/** Columns that take no word of the user's: their functions write their own. */
export const fixed = [
  "patient_consents.consent_metadata",
  "patient_consents.legal_basis",
  "notification_delivery_channels.verification_hash",
  "collaboration_participants.admitted_by",
  "collaboration_participants.state",
  "collaboration_sessions.status",
  "collaboration_conflicts.conflict_type",
  "collaboration_conflicts.status",
  "collaboration_conflicts.resolution_strategy",
];

/** What a version's and a note's bound differ by: the note's is in characters, and refuses first. */
export const refusedBefore = ["collaborative_note_versions.title", "collaborative_note_versions.content"];

/** Values that the column takes or not, by their size. */
export function sized(column: string, bound: Bounds["users"][number], over: number): unknown {
  const { bytes, characters, entries: count } = bound;
  const shape: Record<string, object> = {
    "user_preferences.quiet_hours": { enabled: true, start: "22:00", end: "06:00" },
    "user_preferences.emergency_contacts": [],
  };
  if (column === "user_preferences.secondary_languages")
    return [["en-abcdefg", "en-abcdefgh", "eng-abcdefgh"][over + 1], ...Array.from({ length: 43 }, () => "abcdefgh")];
  if (count !== undefined && bytes !== undefined && !column.endsWith("contacts")) return entries(count, bytes + over);
  if (bytes !== undefined && /reason$|title$|content$/.test(column)) return "x".repeat(bytes + over);
  if (bytes !== undefined) return padded(shape[column] ?? {}, bytes + over);
  return "x".repeat((characters ?? 0) + over);
}
