import type { Client } from "pg";
import { resolveConnection } from "../engine/connect";
import { Database, engineParameters } from "../engine/database";
import { GuardianError } from "../engine/errors";
import { readLedger, readPhysical } from "../engine/ledger/identity";
import { loadMigration } from "../engine/migrate/definition";
import { moveRows } from "../engine/migrate/move";
import { applyAll } from "../scripts/docs/apply";
import { startServer } from "../scripts/postgres/server";
import { createV6, withClient, type Login } from "../scripts/v6/database";
import { median, type Benchmark, type Figures, type Run } from "./benchmark";

/** Somebody who asks, and a patient who consented to exactly this. */
interface Person {
  patient: string;
  accessor: string;
}

/** One statement of a request. */
interface Call {
  text: string;
  values: (person: Person) => string[];
  /** What its row must say, so that no refusal is measured. */
  expected: unknown;
  /** The table whose index its plan must use; `small`: it fits into one page, so that reading that is as good. */
  reads?: { table: string; small: boolean };
}

const statements = {
  select1: { text: "SELECT 1 AS answer", values: () => [], expected: 1 },
  consentCheck: {
    text: "SELECT public.check_consent_access($1, $2) AS answer",
    values: ({ patient, accessor }) => [patient, accessor],
    expected: true,
    reads: { table: "patient_consents", small: false },
  },
  flagCheck: {
    text: "SELECT public.is_feature_enabled_for_user('enhanced_consent', $1) IS NOT NULL AS answer",
    values: ({ accessor }) => [accessor],
    expected: true,
    reads: { table: "feature_flags", small: true },
  },
  preferenceUpdate: {
    text: `UPDATE public.user_preferences SET theme = CASE theme WHEN 'dark' THEN 'light' ELSE 'dark' END
           WHERE user_id = $1 RETURNING true AS answer`,
    values: ({ accessor }) => [accessor],
    expected: true,
    reads: { table: "user_preferences", small: false },
  },
} satisfies Record<string, Call>;
type Name = keyof typeof statements;
const names = Object.keys(statements) as Name[];

const parameters = {
  consents: { mode: "assumed", legalBasis: "legitimate_interests", statement: "Nobody is real." },
  preferences: {},
};

/** What the calls that the application makes all day cost a user, beside `SELECT 1` through the same connection. */
export const calls: Benchmark = {
  name: "calls",
  about: "consent check, flag check and preference update, beside SELECT 1 (p95 ratio: at most 3)",
  options: {
    rounds: { default: 5, least: 3, about: "how often all of them are measured" },
    iterations: { default: 1500, least: 20, about: "calls of each a round, in turn" },
    users: { default: 100_000, least: 10, about: "users in the database" },
  },
  async run(run): Promise<Figures> {
    const { say, options } = run;
    const { users = 100_000 } = options;
    const server = await startServer({ major: 17, say });
    try {
      say(`PostgreSQL 17: v6 with ${users} users, then every module and data migration`);
      const { admin, migrator } = await createV6(server, "guardian", { users });
      await applyAll(migrator);
      await migrate(migrator);
      const people = await withClient(admin, prepare);
      await withClient(admin, (client) => assertIndexes(client, people, say));
      return { ...(await withClient(migrator, (client) => measure(client, people, run))), users };
    } finally {
      await server.stop();
    }
  },
};

/** Moves v6's rows with the product's own engine. */
async function migrate({ host, port, database, user, password }: Login): Promise<void> {
  const settings = resolveConnection({ host, port, database, user, sslmode: "disable" }, { PGPASSWORD: password });
  const engine = new Database(settings, engineParameters({}));
  try {
    const [ledger, here] = await engine.read(async (db) => [await readLedger(db), await readPhysical(db)]);
    for (const [name, values] of Object.entries(parameters)) {
      const migration = await loadMigration(name);
      const stack = "docs::guardian"; // applyAll's
      const options = {
        urn: `urn:pulumi:${stack}::guardian-migration:index:DataMigration::${name}`,
        label: name,
        stack,
        expect: { ...here, ledgerId: ledger?.ledgerId ?? "" },
        signal: new AbortController().signal,
        onStatus: () => undefined,
      };
      await engine.write(options, (session) => moveRows(session, migration, values));
    }
  } finally {
    await engine.close();
  }
}

/** Everybody consents to one other's access, and the flag is on for half of all. @returns some of them, in no order */
async function prepare(admin: Client): Promise<Person[]> {
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

/** As PostgREST does it: the request's role, and who it is. */
async function become(client: Client, { accessor }: Person): Promise<void> {
  const claims = JSON.stringify({ sub: accessor, role: "authenticated" });
  const text = "SELECT set_config('role', 'authenticated', false), set_config('request.jwt.claims', $1, false)";
  await client.query({ name: "become", text, values: [claims] });
}

/** @returns milliseconds of one call. @throws Error if it did not do what it is for */
async function timed(client: Client, name: Name, person: Person): Promise<number> {
  const { text, values, expected }: Call = statements[name];
  const query = { name, text, values: values(person) };
  const began = performance.now();
  const { rows } = await client.query<{ answer: unknown }>(query);
  const ms = performance.now() - began;
  if (rows.length !== 1 || rows[0]?.answer !== expected) throw new Error(`${name} did not answer as it should`);
  return ms;
}

/** A node of a plan as EXPLAIN (FORMAT JSON) has it (manual, 14.1). */
interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  Plans?: Plan[];
}

const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];

/**
 * Explains what really runs, statements inside functions included (manual, F.4 auto_explain), ten times each, since a
 * prepared statement may get another plan after five (manual, PREPARE).
 * @throws GuardianError naming a call whose plan reads its whole table
 */
async function assertIndexes(admin: Client, people: readonly Person[], say: (line: string) => void): Promise<void> {
  let found: Plan[] = [];
  admin.on("notice", ({ message = "" }) => {
    const at = message.indexOf("{");
    if (/^duration: .* plan:/.test(message)) {
      found.push(...flat((JSON.parse(message.slice(at)) as { Plan: Plan }).Plan));
    }
  });
  await admin.query(`
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_format = json; SET client_min_messages = log`);
  const explained = async (name: Name): Promise<{ indexes: string[]; whole: boolean }> => {
    const table = (statements[name] as Call).reads?.table;
    found = [];
    for (const person of people.slice(0, 10)) {
      await become(admin, person);
      await timed(admin, name, person);
    }
    const scans = found.filter((plan) => plan["Node Type"] !== "ModifyTable" && plan["Relation Name"] === table);
    const bitmap = found.filter((plan) => plan["Node Type"] === "Bitmap Index Scan");
    const indexes = [...new Set([...scans, ...bitmap].flatMap((plan) => plan["Index Name"] ?? []))];
    return { indexes, whole: scans.length < 10 || scans.some((plan) => plan["Node Type"] === "Seq Scan") };
  };
  for (const name of names) {
    const { reads }: Call = statements[name];
    if (!reads) continue;
    // A page read whole is cheaper than an index on it: for such a table the plan is asked for that it has when it grows.
    await admin.query(`SET enable_seqscan = ${reads.small ? "off" : "on"}; DISCARD PLANS`);
    const { indexes, whole } = await explained(name);
    if (whole || indexes.length === 0) {
      throw new GuardianError({
        what: `the plan of ${name} uses no index of ${reads.table}`,
        where: "npm run bench -- calls",
        todo: "give its condition an index, or mend the one it has",
      });
    }
    say(`${name} uses ${indexes.join(", ")}`);
  }
}

async function measure(client: Client, people: readonly Person[], { say, signal, options }: Run): Promise<Figures> {
  const { rounds = 5, iterations = 1500 } = options;
  const figures: Record<Name, { p50: number[]; p95: number[]; ratio: number[] }> = {
    select1: { p50: [], p95: [], ratio: [] },
    consentCheck: { p50: [], p95: [], ratio: [] },
    flagCheck: { p50: [], p95: [], ratio: [] },
    preferenceUpdate: { p50: [], p95: [], ratio: [] },
  };
  let next = 0;
  for (let round = 0; round <= rounds; round++) {
    const times: Record<Name, number[]> = { select1: [], consentCheck: [], flagCheck: [], preferenceUpdate: [] };
    for (let i = 0; i < iterations; i++) {
      signal.throwIfAborted();
      const person = people[next++ % people.length];
      if (!person) throw new Error("there is nobody to call");
      for (let k = 0; k < names.length; k++) {
        const name = names[(i + k) % names.length] as Name; // each is as often the first as the last
        await become(client, person); // before each, so that SELECT 1 does not pay for what the update left to do
        times[name].push(await timed(client, name, person));
      }
    }
    if (round === 0) continue; // warms caches up and settles plans
    const floor = percentile(times.select1, 95);
    for (const name of names) {
      const p95 = percentile(times[name], 95);
      figures[name].p50.push(percentile(times[name], 50));
      figures[name].p95.push(p95);
      figures[name].ratio.push(p95 / floor);
    }
    say(
      `round ${round} of ${rounds}: p95 ${names.map((name) => `${name} ${fixed(figures[name].p95.at(-1) ?? 0)} ms`).join(", ")}`,
    );
  }
  const entries = names.map((name) => {
    const { p50, p95, ratio } = figures[name];
    const times = { p50Ms: fixed(median(p50)), p95Ms: fixed(median(p95)) };
    return [name, name === "select1" ? times : { ...times, p95Ratio: fixed(median(ratio)) }] as const;
  });
  return Object.fromEntries(entries);
}

/** The smallest value that at least so many per cent of them do not exceed. */
function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.ceil((sorted.length * percent) / 100) - 1];
  if (value === undefined) throw new RangeError("no values, no percentile");
  return value;
}

const fixed = (value: number): number => Number(value.toFixed(3));
