import type { Client } from "pg";
import { applyAll } from "../scripts/v6/operator";
import { createV6, withClient } from "../scripts/v6/database";
import { fixed, median, type Benchmark, type Figures } from "./benchmark";
import { withServer } from "./server";

/** Every resource of every account, by the views and the function that an export reads. */
const build = `
  SELECT count(r.resource) AS n FROM (
    SELECT resource FROM public.guardian_fhir_patients()
    UNION ALL SELECT resource FROM public.guardian_fhir_resources
  ) AS r`;

const clinical = ["allergies", "conditions", "lab_results", "medications", "providers", "vitals"];
const owned = ["documents", ...clinical.map((name) => `patient_${name}`), "user_profiles"];

/** The rows that the resources are built of, each once and whole; a row without an account has no resource. */
const select = `
  SELECT count(r.row) AS n FROM (
    SELECT to_jsonb(t) AS row FROM auth.users AS t
    ${owned.map((name) => `UNION ALL SELECT to_jsonb(t) FROM public.${name} AS t WHERE t.user_id IS NOT NULL`).join("\n")}
  ) AS r`;

/**
 * What building every FHIR resource in one statement costs, beside reading the same v6 rows as JSON. Both count what they
 * made, so that every value is computed and none is sent.
 */
export const fhir: Benchmark = {
  name: "fhir",
  about: "building every FHIR resource, beside reading the same v6 rows as JSON (ratio: at most 5)",
  options: {
    rounds: { default: 5, least: 3, about: "how often each of the two is measured, in turn" },
    users: { default: 20_000, least: 10, about: "users in the database" },
  },
  run(run): Promise<Figures> {
    const { say, signal, options } = run;
    const { rounds = 5, users = 20_000 } = options;
    return withServer(run, {}, async (server) => {
      say(`PostgreSQL 17: v6 with ${users} users, then every module`);
      const { admin, migrator } = await createV6(server, "guardian", { users });
      await applyAll(migrator);
      await withClient(admin, (client) => client.query("VACUUM (ANALYZE)"));
      return withClient(migrator, (client) => measure(client, rounds, say, signal));
    });
  },
};

/** @throws Error if nothing is built, or not the same every time */
export async function measure(
  client: Client,
  rounds: number,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Figures> {
  // One process for either, as a function's query never has workers: the ratio is of work, not of processors.
  await client.query("SET max_parallel_workers_per_gather = 0");
  const [resources, rows] = [(await timed(client, build)).n, (await timed(client, select)).n];
  say(`${resources} resources of ${rows} rows`);
  const [builds, selects]: [number[], number[]] = [[], []];
  for (let i = 1; i <= rounds; i++) {
    signal.throwIfAborted();
    const read = await timed(client, select);
    const built = await timed(client, build);
    if (built.n !== resources || read.n !== rows) throw new Error("the rows changed while they were measured");
    selects.push(read.ms);
    builds.push(built.ms);
    say(`round ${i} of ${rounds}: build ${Math.round(built.ms)} ms, select ${Math.round(read.ms)} ms`);
  }
  const [buildMs, selectMs] = [median(builds), median(selects)];
  const resourcesPerSecond = Math.round(resources / (buildMs / 1000));
  return { resources, resourcesPerSecond, ratioToSelect: fixed(buildMs / selectMs) };
}

/** @returns what the query counted, and milliseconds as the client sees them */
async function timed(client: Client, query: string): Promise<{ n: number; ms: number }> {
  const began = performance.now();
  const { rows } = await client.query<{ n: string }>(query);
  const ms = performance.now() - began;
  const n = Number(rows[0]?.n ?? 0);
  if (n === 0) throw new Error("nothing was built or read");
  return { n, ms };
}
