import { first, type Queryable } from "../../base/sql";
import type { Site } from "../check";
import { inTime } from "../in-time";
import { pacing, type Paced } from "./pacing";

/**
 * The tests of module 009's test_v7_performance() and its like, as its time_v6_queries() runs them: what these compare with
 * has to be measured as they measure, and that in the server, before 009 and all that touches v6 is there.
 */
export const inServerTests = {
  "User Authentication": "PERFORM u.id FROM auth.users AS u WHERE u.email = v_account.email AND u.is_sso_user = false;",
  "Document Listing": "PERFORM d.id FROM public.documents AS d WHERE d.user_id = v_account.id LIMIT 50;",
  "Medication List":
    "PERFORM m.id FROM public.patient_medications AS m WHERE m.user_id = v_account.id AND m.status = 'active';",
  "Lab Results":
    "PERFORM l.id FROM public.patient_lab_results AS l WHERE l.user_id = v_account.id ORDER BY l.test_date DESC LIMIT 50;",
} as const;

/** Whom they ask for. */
export const inServerAccounts =
  "SELECT u.id, u.email FROM auth.users AS u WHERE u.email IS NOT NULL AND NOT u.is_sso_user ORDER BY u.id LIMIT 20";

/** As time_v6_queries is called; fewer where fewer turns are wanted. */
const mostRounds = 10;

/** A block gives nothing back, so it leaves its milliseconds in a setting, which goes with the transaction. */
const setting = "guardian_migration.milliseconds";

/**
 * One round over the accounts, after one that is not timed: by then the block has its plans, which 009's function has from its
 * first round on. All rounds in one statement would be over their time, and unthrottled, where a query takes 10 ms.
 */
const block = (test: string): string => `DO $measure$
  DECLARE
    v_account record;
    v_began timestamptz;
    v_ms double precision[] := '{}';
  BEGIN
    FOR i IN 0..1 LOOP
      FOR v_account IN ${inServerAccounts} LOOP
        v_began := clock_timestamp();
        ${test}
        IF i > 0 THEN
          v_ms := v_ms || extract(epoch FROM clock_timestamp() - v_began)::double precision * 1000;
        END IF;
      END LOOP;
    END LOOP;
    PERFORM set_config('${setting}', array_to_string(v_ms, ','), true);
  END $measure$`;

/** What 009 will not know, and why. */
export interface InServer {
  /** Which 009 reads from the ledger when it is applied (sql/009_operations/up/06_rows_rights.sql). */
  readonly figures: Record<string, number>;
  /** Tests of which one round took too long: they have no figures, and 009 says of them that there is no baseline. */
  readonly slow: readonly string[];
}

/** Each round of a test in a turn of its own, under the timeouts of all. Where there is no account there are no figures. */
export async function timeInServer(site: Site, paced: Paced): Promise<InServer> {
  const turn = pacing(site, paced);
  const rounds = Math.min(mostRounds, site.host.parameters.queryTurns);
  const times = new Map<string, number[]>();
  const slow: string[] = [];
  // Round by round, so that each test has as many where the time is over.
  for (let round = 0; round < rounds; round++)
    for (const [name, test] of Object.entries(inServerTests))
      await turn(round, async (db) => {
        if (slow.includes(name)) return;
        const found = await timed(db, test);
        if (found === undefined) slow.push(name);
        else times.set(name, [...(times.get(name) ?? []), ...found]);
      });
  const figures: Record<string, number> = {};
  for (const [name, ms] of times)
    if (!slow.includes(name) && ms.length > 0) Object.assign(figures, await percentilesOf(site, name, ms));
  return { figures, slow };
}

/** @returns milliseconds of one round; undefined where it took too long */
async function timed(db: Queryable, test: string): Promise<number[] | undefined> {
  return inTime(db, async () => {
    await db.query(block(test));
    const found = await first<{ ms: string }>(db, `SELECT pg_catalog.current_setting('${setting}') AS ms`);
    return (found?.ms ?? "")
      .split(",")
      .filter((one) => one !== "")
      .map(Number);
  });
}

/** As the server reckons them, which compares with them. */
async function percentilesOf({ db }: Site, name: string, ms: number[]): Promise<Record<string, number>> {
  const found = await first<{ p50: number; p95: number }>(
    db,
    `SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY t)::pg_catalog.numeric, 3)::pg_catalog.float8 AS p50,
       round(percentile_cont(0.95) WITHIN GROUP (ORDER BY t)::pg_catalog.numeric, 3)::pg_catalog.float8 AS p95
     FROM pg_catalog.unnest($1::pg_catalog.float8[]) AS t`,
    [ms],
  );
  const key = `inServer${name.replaceAll(" ", "")}`;
  return { [`${key}Runs`]: ms.length, [`${key}P50Ms`]: found?.p50 ?? 0, [`${key}P95Ms`]: found?.p95 ?? 0 };
}
