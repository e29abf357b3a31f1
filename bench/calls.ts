import type { Client } from "pg";
import { engineParameters } from "../engine/parameters";
import { loadMigration } from "../engine/migrate/definition/migration";
import type { Operator } from "../engine/operator";
import { applyAll, withOperator } from "../scripts/v6/operator";
import { createV6, withClient, type Login } from "../scripts/v6/database";
import type { Benchmark, Figures } from "./benchmark";
import { durable, measure } from "./calls/measure";
import { assertIndexes } from "./calls/plans";
import { parameters } from "./move/figures";
import { withServer } from "./server";
import type { Person } from "./calls/statements";

/**
 * The server syncs its files, as a real one does, but a commit does not wait for it (manual, 20.5.1): a ratio of waiting
 * for a disk to a SELECT 1 would tell of the disk. What waiting costs is measured by itself.
 */
const commits = { fsync: "on", synchronous_commit: "off" };

/** What the calls that the application makes all day cost a user, beside `SELECT 1` through the same connection. */
export const calls: Benchmark = {
  name: "calls",
  about: "consent check, flag check and preference update, beside SELECT 1 (p95 ratio: at most 3)",
  options: {
    rounds: { default: 5, least: 3, about: "how often all of them are measured" },
    iterations: { default: 1500, least: 20, about: "calls of each a round, in turn" },
    // With fewer a table fits into so few pages that no plan uses an index.
    users: { default: 100_000, least: 300, about: "users in the database" },
  },
  run(run): Promise<Figures> {
    const { say, options } = run;
    const { users = 100_000 } = options;
    return withServer(run, { settings: commits }, async (server) => {
      say(`PostgreSQL 17: v6 with ${users} users, then every module and data migration`);
      const { admin, migrator } = await createV6(server, "guardian", { users });
      await applyAll(migrator);
      await migrate(migrator);
      const people = await withClient(admin, prepare);
      await withClient(admin, (client) => assertIndexes(client, people, say));
      return withClient(migrator, async (client) => {
        const figures = await measure(client, people, run);
        const durableUpdate = await durable(client, people, run.signal);
        say("ratios: no call waits for a disk (synchronous_commit off); durableUpdate: one that does, with fsync on");
        return { ...figures, durableUpdate, users, commits };
      });
    });
  },
};

/** Moves v6's rows with the product's own engine. */
function migrate(login: Login): Promise<void> {
  const move = async (operator: Operator): Promise<void> => {
    // Nobody is there to be spared.
    for (const [name, values] of Object.entries(parameters))
      await operator.move(await loadMigration(name), values, { throttled: false });
  };
  return withOperator(login, move, { parameters: engineParameters({}) });
}

/** Everybody consents to one other's access, and the flag is on for half of all. @returns some of them, in no order */
export async function prepare(admin: Client): Promise<Person[]> {
  await admin.query(`
    BEGIN; SET LOCAL session_replication_role = replica; -- no audit rows for what is only there to be found
    INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, granted, legal_basis)
    SELECT id, 'data_sharing', 'healthcare_services', coalesce(lead(id) OVER w, first_value(id) OVER w), true, 'consent'
    FROM auth.users WINDOW w AS (ORDER BY id);
    UPDATE public.feature_flags SET enabled = true, rollout_percentage = 50 WHERE feature_name = 'enhanced_consent';
    COMMIT`);
  await admin.query("VACUUM (ANALYZE)");
  const { rows } = await admin.query<Person>(
    `SELECT patient_id AS patient, granted_to AS accessor FROM public.patient_consents
     WHERE granted_to IS NOT NULL ORDER BY md5(id::text) LIMIT 20000`,
  );
  return rows;
}
