import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { service, value } from "../support/modules";
import { queueModule } from "./006_queue";

export const noticeModule = "007_notification_queue";
export const modules = ["000_audit_log", "004_enhanced_consent", "005_user_preferences", queueModule, noticeModule];

/** Two accounts with a confirmed address that are not deleted. */
export async function users(client: Client): Promise<[string, string]> {
  const { rows } = await client.query<{ id: string }>(
    "SELECT id FROM auth.users WHERE email_confirmed_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT 2",
  );
  return [rows[0]!.id, rows[1]!.id];
}

/** Accounts that are marked as deleted. */
export async function deletedUsers(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    "SELECT id FROM auth.users WHERE deleted_at IS NOT NULL ORDER BY id",
  );
  return rows.map((row) => row.id);
}

/** A message to one user, as the server side sends it; its id. `more` are further arguments by name. */
export const send = (client: Client, user: string, more = "", title = "Hello"): Promise<string> =>
  service(client, `SELECT public.enqueue_notification($1, 'care_team_message', $2, 'Text.'${more})`, [user, title]);

export interface Notice {
  id: string;
  lease_token: string;
  user_id: string;
  notification_type: string;
  priority: string;
  title: string;
  channels: string[];
  data: Record<string, unknown>;
  attempt: number;
}

/** Takes messages as a worker does. */
export async function claim(client: Client, limit = 100): Promise<Notice[]> {
  return asRole(client, "service_role", null, async (c) => {
    const { rows } = await c.query<Notice>("SELECT * FROM public.claim_notifications('test', $1)", [limit]);
    return rows;
  });
}

/** Titles of what a worker gets, in order. */
export const titles = async (client: Client): Promise<string[]> => (await claim(client)).map((row) => row.title).sort();

/** Sets preferences of a user; makes the row. */
export const prefer = (client: Client, user: string, columns: Record<string, unknown>): Promise<unknown> =>
  client.query(
    `INSERT INTO public.user_preferences (user_id, ${Object.keys(columns).join(", ")})
     VALUES ($1, ${Object.keys(columns)
       .map((_, i) => `$${i + 2}`)
       .join(", ")})
     ON CONFLICT (user_id) DO UPDATE SET ${Object.keys(columns)
       .map((column) => `${column} = excluded.${column}`)
       .join(", ")}`,
    [user, ...Object.values(columns)],
  );

/** As if the time of everything that was put off had come; leases go on. */
export const later = (client: Client): Promise<unknown> =>
  client.query(
    "UPDATE public.notification_queue SET next_attempt_at = now() - interval '1 s' WHERE status = 'scheduled'",
  );

/** Quiet hours around the present minute of the clock in a zone. */
export async function quietNow(client: Client, zone: string): Promise<Record<string, unknown>> {
  const clock = (shift: string): Promise<string> =>
    value(client, `SELECT to_char((now() + interval '${shift}') AT TIME ZONE $1, 'HH24:MI')`, [zone]);
  return { enabled: true, start: await clock("-2 h"), end: await clock("2 h"), timezone: "user" };
}
