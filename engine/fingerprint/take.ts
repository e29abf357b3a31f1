import { fromPostgres } from "../base/errors";
import { archiveSchema, ledgerSchema } from "../ledger/schema";
import { catalogueFacts } from "./catalogue";
import { readLargeObjects, readSequences, readTables, textSettings } from "./content";
import { readSchema, type DumpTool } from "./dump";
import { readTies } from "./ties";
import type { Askable } from "../base/sql";
import type { Fact, Fingerprint } from "./types";

/** The schemas of this product: what stays after a rollback until it is purged. */
export const ownSchemas: readonly string[] = [ledgerSchema, archiveSchema];

export interface FingerprintOptions extends DumpTool {
  /** Schemas that do not count; `ownSchemas` after a rollback, none after a purge. */
  ignoreSchemas: readonly string[];
}

/**
 * What the database is, in one REPEATABLE READ, READ ONLY transaction whose snapshot pg_dump shares: schema dump, content
 * of every table, sequences, large objects, and what dumps leave out. The client must not be in a transaction.
 *
 * @throws GuardianError when a table may not be read, pg_dump fails or a connection breaks.
 */
export async function takeFingerprint(client: Askable, options: FingerprintOptions): Promise<Fingerprint> {
  return frozen(client, async () => {
    const aside = [...options.ignoreSchemas];
    const { rows } = await client.query<{ id: string }>("SELECT pg_export_snapshot() AS id");
    const schema = await readSchema(options, rows[0]?.id ?? "", aside);
    const found = await readFacts(client, aside, false);
    const facts = { ...found.facts };
    // A type of pg_dump's own is in capitals, ours are not, so the names do not meet.
    for (const [type, named] of Object.entries(schema)) facts[type] = named;
    return { facts, cascadeKeys: found.keys };
  });
}

/**
 * For "this wrote nothing": every catalogue entry with its oid instead of the dump, and every row with its place and writer, so
 * that what was dropped and made again, or updated to the same value, shows as well. No schema is left aside unless named.
 * What VACUUM and ANALYZE keep for themselves is not in it.
 *
 * @param options.counters also counts rows inserted, updated and deleted since the statistics began, rolled back ones
 * included. Sessions report these at their end at the latest: other sessions that wrote must have ended before.
 * @throws GuardianError when a table may not be read.
 */
export async function quickFingerprint(
  client: Askable,
  options: { ignoreSchemas?: readonly string[]; counters?: boolean } = {},
): Promise<Fingerprint> {
  return frozen(client, async () => {
    const aside = [...(options.ignoreSchemas ?? [])];
    const { facts, keys } = await readFacts(client, aside, true);
    facts["catalogue"] = record(await readCatalogues(client));
    if (options.counters) facts["rows written"] = record(await readCounters(client, aside));
    return { facts, cascadeKeys: keys };
  });
}

async function readFacts(client: Askable, aside: string[], tuples: boolean) {
  const facts: Record<string, Record<string, string>> = {};
  for (const [kind, sql] of Object.entries(catalogueFacts)) {
    // A query without $1 takes no value (manual, 55.2.3, Bind).
    const { rows } = await client.query<Fact>(sql, sql.includes("$1") ? [aside] : []);
    facts[kind] = record(rows);
  }
  facts["table rows"] = record(await readTables(client, aside, tuples));
  facts["sequence state"] = record(await readSequences(client, aside));
  facts["large object"] = record(await readLargeObjects(client));
  const { ties, keys } = await readTies(client, aside);
  facts["tie"] = record(ties);
  return { facts, keys };
}

/** Columns that VACUUM, ANALYZE and the planner's own housekeeping write. */
const housekeeping = `'{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relhasindex,relhasrules,
  relhastriggers,relhassubclass,datfrozenxid,datminmxid,indcheckxmin,rolpassword}'::text[]`;

/** One digest for each system catalogue that this user may read; of the shared ones only what concerns this database. */
async function readCatalogues(client: Askable): Promise<Fact[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c
     WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')
       AND c.relname <> ALL ('{pg_statistic,pg_statistic_ext_data,pg_authid,pg_largeobject,pg_largeobject_metadata}')
     ORDER BY 1`,
  );
  const here = "(SELECT oid FROM pg_database WHERE datname = current_database())";
  const only: Record<string, string> = {
    pg_database: "WHERE c.datname = current_database()",
    pg_db_role_setting: `WHERE c.setdatabase IN (0, ${here})`,
    pg_shdepend: `WHERE c.dbid IN (0, ${here})`,
    pg_shdescription: `WHERE c.classoid <> 'pg_database'::regclass OR c.objoid = ${here}`,
  };
  const facts: Fact[] = [];
  for (const { name } of rows) {
    const { rows: found } = await client.query<{ value: string }>(
      `SELECT count(*) || ' ' || coalesce(sum(hashtextextended((to_jsonb(c) - ${housekeeping})::text COLLATE "C", 0)::numeric), 0)
         AS value FROM pg_catalog.${name} c ${only[name] ?? ""}`,
    );
    facts.push({ name, value: found[0]?.value ?? "" });
  }
  return facts;
}

async function readCounters(client: Askable, aside: string[]): Promise<Fact[]> {
  const { rows } = await client.query<Fact>(
    `SELECT format('%I.%I', schemaname, relname) AS name,
       format('%s inserted, %s updated, %s deleted', n_tup_ins, n_tup_upd, n_tup_del) AS value
     FROM pg_stat_user_tables WHERE schemaname <> ALL ($1::text[])`,
    [aside],
  );
  return rows;
}

function record(facts: readonly Fact[]): Record<string, string> {
  return Object.fromEntries(facts.map((fact) => [fact.name, fact.value]));
}

async function frozen<T>(client: Askable, work: () => Promise<T>): Promise<T> {
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; ${textSettings}`).catch((err: unknown) => {
    throw fromPostgres(err, "fingerprint");
  });
  try {
    return await work();
  } catch (err) {
    throw fromPostgres(err, "fingerprint");
  } finally {
    await client.query("ROLLBACK").catch(() => undefined); // nothing was written; a lost connection shows elsewhere
  }
}
