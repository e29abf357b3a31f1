import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { accounts, as } from "../support/modules";

export const collaborationModule = "008_realtime_collaboration";
export const modules = ["000_audit_log", "001_feature_flags", "004_enhanced_consent", collaborationModule];

export type People = [patient: string, doctor: string, nurse: string, stranger: string];

/** Four accounts; the feature is on for everybody, and the patient shares his record with the doctor and the nurse. */
export async function people(client: Client): Promise<People> {
  const [patient, doctor, nurse, stranger] = await accounts(client);
  await client.query(
    "UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100 WHERE feature_name = 'real_time_collaboration'",
  );
  for (const other of [doctor, nurse]) await share(client, patient, other);
  return [patient, doctor, nurse, stranger];
}

export const share = (client: Client, patient: string, other: string): Promise<string> =>
  as(client, patient, "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2)", [
    patient,
    other,
  ]);

export const create = (client: Client, user: string, patient: string): Promise<string> =>
  as(client, user, "SELECT public.create_collaboration_session($1, 'Round', 'care_team_meeting')", [patient]);

export const invite = (client: Client, by: string, session: string, user: string, role = "viewer"): Promise<boolean> =>
  as<boolean>(client, by, "SELECT public.invite_to_collaboration($1, $2, $3)", [session, user, role]);

export const remove = (client: Client, by: string, session: string, user: string): Promise<boolean> =>
  as<boolean>(client, by, "SELECT public.remove_from_collaboration($1, $2)", [session, user]);

export const join = (client: Client, user: string, session: string): Promise<number> =>
  as<number>(client, user, "SELECT public.join_collaboration($1)", [session]);

export interface Saved {
  result: string;
  note_id: string;
  version_number: number;
  conflict_id: string | null;
}

/** Saves a note; with a note's id the next version of it, on top of the version named. */
export async function save(
  client: Client,
  user: string,
  session: string,
  content: string,
  note: string | null = null,
  version: number | null = null,
): Promise<Saved> {
  return asRole(client, "authenticated", user, async (c) => {
    const { rows } = await c.query<Saved>("SELECT * FROM public.save_collaborative_note($1, 'Title', $2, $3, $4)", [
      session,
      content,
      note,
      version,
    ]);
    return rows[0]!;
  });
}

/** How much of each table a user reads: sessions, participants, notes, versions, conflicts. */
export const reads = (client: Client, user: string): Promise<string> =>
  as(
    client,
    user,
    `SELECT concat_ws(' ', (SELECT count(*) FROM public.collaboration_sessions), (SELECT count(*) FROM public.collaboration_participants),
       (SELECT count(*) FROM public.collaborative_clinical_notes), (SELECT count(*) FROM public.collaborative_note_versions),
       (SELECT count(*) FROM public.collaboration_conflicts))`,
  );

/** As if minutes had passed since anybody did anything. */
export const wait = (client: Client, minutes: number): Promise<unknown> =>
  client.query(
    `WITH s AS (UPDATE public.collaboration_sessions SET last_activity = last_activity - $1 * interval '1 minute')
     UPDATE public.collaboration_participants SET last_seen_at = last_seen_at - $1 * interval '1 minute'`,
    [minutes],
  );
