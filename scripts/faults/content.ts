import type { Client } from "pg";
import { textSettings } from "../../engine/fingerprint/content";
import { readLedger } from "../../engine/ledger/identity";
import { readSteps, unfinished } from "../../engine/ledger/steps";
import { comparedTables, type Compared } from "./tables";

/** Digests of a row: no value of it is kept. */
export interface Row {
  key: string;
  /** Of what two runs have in common. */
  content: string;
  /** Of all columns: a row that a user wrote must come through every run as it is. */
  whole: string;
}

/** What is in a database where the migration is. */
export interface Content {
  /** Table → its rows, those that wait in the archive for it too. */
  rows: Map<string, Row[]>;
  /** What else two runs must have in common. */
  facts: string[];
  /** Rows of the newest session, which is this run's own: the facts tell of it. Later runs must keep them. */
  session: Map<string, Row[]>;
}

/** Reads it in one snapshot. */
export async function readContent(client: Client): Promise<Content> {
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; ${textSettings}`);
  try {
    const content: Content = { rows: new Map(), facts: [], session: new Map() };
    const tables = await comparedTables(client);
    const newest = await newestSession(client, tables);
    for (const one of tables) {
      for (const { own, ...row } of await readRows(client, one, newest))
        add(own ? content.session : content.rows, one, row);
      if (!content.rows.has(one.of)) content.rows.set(one.of, []);
      const back = one.archived && tables.some((other) => other.name !== one.name && other.of === one.of);
      if (back) content.facts.push(`rows of ${one.of} still wait in the archive`);
    }
    if (newest !== undefined) content.facts.push(...(await sessionFacts(client, tables, newest)));
    content.facts.push(...(await unfinishedSteps(client)));
    return content;
  } finally {
    await client.query("ROLLBACK");
  }
}

function add(rows: Map<string, Row[]>, { of }: Compared, row: Row): void {
  const known = rows.get(of);
  if (known) known.push(row);
  else rows.set(of, [row]);
}

async function readRows(
  client: Client,
  { name, key, aside, asidePath, session }: Compared,
  newest: string | undefined,
): Promise<(Row & { own: boolean })[]> {
  const keys = key.length > 0 ? key.map((column) => `t.${column}`).join(", ") : "t.*";
  const { rows } = await client.query<Row & { own: boolean }>(
    `SELECT md5(ROW(${keys})::text) AS key, md5(((j.row - $1::text[]) #- $2::text[])::text) AS content,
       md5(j.row::text) AS whole, ${session ? `t.${session}::text = $3::text` : "$3::text IS NULL AND false"} AS own
     FROM ONLY ${name} t, LATERAL (SELECT to_jsonb(t) AS row) j`,
    [aside, asidePath, newest ?? ""],
  );
  return rows;
}

const sessions = "public.migration_sessions";

async function newestSession(client: Client, tables: readonly Compared[]): Promise<string | undefined> {
  const all = tables.filter(({ of }) => of === sessions).map(({ name }) => `SELECT id, created_at FROM ${name}`);
  if (all.length === 0) return undefined;
  const text = `${all.join(" UNION ALL ")} ORDER BY created_at DESC, id LIMIT 1`;
  return (await client.query<{ id: string }>(text)).rows[0]?.id;
}

/** How the newest session stands, and each step of it. How many there are follows, in the archive, from the way down. */
async function sessionFacts(client: Client, tables: readonly Compared[], newest: string): Promise<string[]> {
  const facts: string[] = [];
  for (const { name, of, session, archived } of tables) {
    if (session === undefined) continue;
    const steps = archived ? "" : ", ', ', completed_steps, ' of ', total_steps, ' steps'";
    const fact = of === sessions ? `'session ', status${steps}` : "'session step ', kind, ' ', step_name, ' ', status";
    const { rows } = await client.query<{ fact: string; n: number }>(
      `SELECT concat(${fact}) AS fact, count(*)::int AS n FROM ${name} WHERE ${session} = $1 GROUP BY 1 ORDER BY 1`,
      [newest],
    );
    facts.push(...rows.map(({ fact: text, n }) => (n === 1 ? text : `${text}, ${n} times`)));
  }
  return facts;
}

/** What the ledger calls unfinished: nothing, after a run that ended. */
async function unfinishedSteps(client: Client): Promise<string[]> {
  const open = (await readLedger(client)) ? unfinished(await readSteps(client)) : [];
  return open.map(({ urn, part }) => `unfinished: ${urn.split("::").at(-1) ?? ""} ${part}`).sort();
}
