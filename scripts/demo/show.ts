import type { Client } from "pg";
import { readWaiting } from "../../engine/ledger/archived";
import type { KeptProof } from "../../engine/ledger/details";
import { detailOf, readSteps } from "../../engine/ledger/steps";
import { asUser } from "../v6/database";

type Row = Record<string, unknown>;

async function rows(client: Client, sql: string): Promise<Row[]> {
  return (await client.query<Row>(sql)).rows;
}

/** What v6 holds. */
export function v6Rows(client: Client): Promise<Row[]> {
  return rows(
    client,
    `SELECT (SELECT count(*) FROM auth.users)::int AS users, (SELECT count(*) FROM public.user_profiles)::int AS profiles,
       (SELECT count(*) FROM public.documents)::int AS documents,
       ((SELECT count(*) FROM public.patient_medications) + (SELECT count(*) FROM public.patient_allergies)
         + (SELECT count(*) FROM public.patient_conditions) + (SELECT count(*) FROM public.patient_lab_results)
         + (SELECT count(*) FROM public.patient_vitals) + (SELECT count(*) FROM public.patient_providers))::int
         AS "clinical rows"`,
  );
}

export interface MovedCounts {
  users: number;
  /** Users older than a day that are not deleted: those who get a consent. */
  settled: number;
  consents: number;
  preferences: number;
}

/** Counts what was moved, and what should have been. */
export async function countMoved(client: Client): Promise<MovedCounts> {
  const [row] = await rows(
    client,
    `SELECT count(*)::int AS users, count(*) FILTER (WHERE created_at < now() - interval '1 day' AND deleted_at IS NULL)::int AS settled,
       (SELECT count(*) FROM public.patient_consents)::int AS consents,
       (SELECT count(*) FROM public.user_preferences)::int AS preferences FROM auth.users`,
  );
  return row as unknown as MovedCounts;
}

/** The moved consents by what they say. */
export function consents(client: Client): Promise<Row[]> {
  return rows(
    client,
    `SELECT consent_type, purpose, granted, legal_basis, explicit_consent AS explicit, count(*)::int AS rows
     FROM public.patient_consents GROUP BY 1, 2, 3, 4, 5 ORDER BY count(*) DESC`,
  );
}

/** The moved preferences by language, the five most frequent. */
export function preferences(client: Client): Promise<Row[]> {
  return rows(
    client,
    `SELECT language, count(DISTINCT timezone)::int AS "time zones", count(*)::int AS rows
     FROM public.user_preferences GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 5`,
  );
}

/** The flags, and who would have them: asked of v7's own function for (at most) the first 1,000 users. */
export function flags(client: Client): Promise<Row[]> {
  return rows(
    client,
    `SELECT f.feature_name AS flag, f.enabled, f.rollout_percentage AS percent,
       (SELECT count(*) FILTER (WHERE public.feature_is_on(f.feature_name, u.id))::int
        FROM (SELECT id FROM auth.users ORDER BY id LIMIT 1000) u) AS "on for",
       (SELECT least(count(*), 1000)::int FROM auth.users) AS "of users"
     FROM public.feature_flags f ORDER BY f.enabled DESC, f.rollout_percentage DESC, 1`,
  );
}

/** The newest session's row. */
export function session(client: Client): Promise<Row[]> {
  return rows(
    client,
    `SELECT migration_type AS session, status, completed_steps AS done, total_steps AS steps,
       records_processed::int AS records, records_failed::int AS failed, jsonb_array_length(error_summary) AS errors,
       started_at AS started, completed_at AS completed, initiated_by AS by
     FROM public.migration_sessions ORDER BY created_at DESC LIMIT 1`,
  );
}

/** What restoring the backup has shown. */
export async function proof(client: Client): Promise<Pick<KeptProof, "verdict" | "restoreSeconds">> {
  const step = (await readSteps(client)).find(({ kind, state }) => kind === "proof" && state === "done");
  const { verdict = "not proven", restoreSeconds = 0 } = detailOf(step, "proof");
  return { verdict, restoreSeconds };
}

/** Rows that the roll-back of the data stage left in their tables, since people wrote them. */
export function stayed(client: Client): Promise<Row[]> {
  return rows(
    client,
    `SELECT 'public.patient_consents' AS table, count(*)::int AS rows FROM public.patient_consents
     UNION ALL SELECT 'public.user_preferences', count(*)::int FROM public.user_preferences`,
  );
}

/** What waits in the archive, and whose erasure takes it along. */
export async function archive(client: Client): Promise<Row[]> {
  const waiting = (await readWaiting(client)).map(({ archivedAs, rows: n, subject }) => ({
    archived: archivedAs,
    rows: Number(n),
    "when an account is deleted":
      subject === null ? "stays: keys and actions, no personal values" : `goes with the account (${subject})`,
  }));
  return waiting.sort((a, b) => a.archived.localeCompare(b.archived));
}

/** The ledger's account of the whole. */
export async function ledger(client: Client): Promise<Row[]> {
  const counts = new Map<string, number>();
  for (const { kind, state } of await readSteps(client)) {
    counts.set(`${kind} ${state}`, (counts.get(`${kind} ${state}`) ?? 0) + 1);
  }
  return [...counts].sort().map(([key, resources]) => {
    const [kind, state] = key.split(" ");
    return { kind, state, resources };
  });
}

/**
 * What two people do with v7, by the application's own role and with their own token: one withdraws the consent that was
 * assumed for her, one makes his text larger.
 *
 * @returns what was done, for people
 */
export async function useV7(client: Client): Promise<string[]> {
  const did: string[] = [];
  const [consent] = await rows(
    client,
    "SELECT id, patient_id FROM public.patient_consents ORDER BY patient_id LIMIT 1",
  );
  if (consent) {
    const values = [consent["id"], "synthetic reason"];
    await asUser(client, consent["patient_id"], "SELECT public.revoke_patient_consent($1, $2)", values);
    did.push("a user withdrew her consent");
  }
  const [last] = await rows(client, "SELECT user_id FROM public.user_preferences ORDER BY user_id DESC LIMIT 1");
  if (last) {
    const larger = "UPDATE public.user_preferences SET font_size = 'large' WHERE user_id = $1";
    await asUser(client, last["user_id"], larger);
    did.push("a user made his text larger");
  }
  return did;
}
