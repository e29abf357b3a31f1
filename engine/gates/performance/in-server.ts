import { first, type Queryable } from "../../base/sql";
import type { Site } from "../check";
import { inTime } from "./in-time";
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

const block = (test: string, rounds: number): string => `DO $measure$
  DECLARE
    v_account record;
    v_began timestamptz;
    v_ms double precision[] := '{}';
  BEGIN
    FOR i IN 0..${rounds} LOOP
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

/**
 * Each test in a turn of its own, under the timeouts of all.
 * @returns figures that 009 reads from the ledger when it is applied (sql/009_operations/up/06_rows_rights.sql); none of a
 *   test that took too long, or where there is no account
 */
export async function timeInServer(site: Site, paced: Paced): Promise<Record<string, number>> {
  const turn = pacing(site, paced);
  const figures: Record<string, number> = {};
  for (const [name, test] of Object.entries(inServerTests))
    await turn(0, async (db) => Object.assign(figures, await timed(db, site.host.parameters.queryTurns, name, test)));
  return figures;
}

async function timed(db: Queryable, turns: number, name: string, test: string): Promise<Record<string, number>> {
  const found = await inTime(db, async () => {
    await db.query(block(test, Math.min(mostRounds, turns)));
    return first<{ runs: number; p50: number | null; p95: number | null }>(
      db,
      `SELECT pg_catalog.count(t)::pg_catalog.int4 AS runs,
         round(percentile_cont(0.5) WITHIN GROUP (ORDER BY t)::pg_catalog.numeric, 3)::pg_catalog.float8 AS p50,
         round(percentile_cont(0.95) WITHIN GROUP (ORDER BY t)::pg_catalog.numeric, 3)::pg_catalog.float8 AS p95
       FROM pg_catalog.unnest(pg_catalog.string_to_array(nullif(pg_catalog.current_setting('${setting}'), ''), ',')::pg_catalog.float8[]) AS t`,
    );
  });
  if (typeof found?.p50 !== "number" || typeof found.p95 !== "number") return {};
  const key = `inServer${name.replaceAll(" ", "")}`;
  return { [`${key}Runs`]: found.runs, [`${key}P50Ms`]: found.p50, [`${key}P95Ms`]: found.p95 };
}
