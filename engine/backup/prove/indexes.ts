import type { Client } from "pg";
import type { ConnectionSettings } from "../../connect";
import { isPostgres } from "../../base/errors";
import { rows } from "../../base/sql";
import { differs, listed } from "./differs";
import { onScratch } from "./place";

/** Tables up to this size are looked through for each index besides: are all their rows in it? */
const cheapBytes = 4 * 1024 * 1024;

interface Index {
  oid: number;
  name: string;
  cheap: boolean;
}

/**
 * Has amcheck look at every B-tree of the copy, several at a time, where the scratch has it.
 * @throws GuardianError of the comparison, naming the indexes
 */
export async function checkIndexes(
  settings: ConnectionSettings,
  jobs: number,
  signal: AbortSignal,
  where: string,
): Promise<void> {
  const found = await onScratch(settings, signal, prepare);
  const queue = [...found];
  const bad: string[] = [];
  const work = (client: Client): Promise<void> => checkEach(client, queue, bad);
  const workers = Array.from({ length: Math.min(jobs, found.length) }, () => onScratch(settings, signal, work));
  await Promise.all(workers);
  if (bad.length > 0) throw differs("compare", `the copy's indexes are damaged: ${listed(bad.sort())}`, where);
}

/** @returns the indexes, the largest first; none where amcheck is not to be had */
async function prepare(client: Client): Promise<Index[]> {
  // Event triggers of the copy are not for what is done to look at it.
  await client.query("SET session_replication_role = replica").catch(() => undefined);
  try {
    await client.query(`CREATE SCHEMA guardian_proof; CREATE EXTENSION amcheck SCHEMA guardian_proof`);
  } catch (err) {
    // Not there, or not for this role to make: it is asked for where it is there.
    if (isPostgres(err)) return [];
    throw err;
  }
  return rows<Index>(
    client,
    `SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, pg_catalog.pg_table_size(i.indrelid) <= $1 AS cheap
       FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_am a ON a.oid = c.relam
      WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisvalid
        AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
      ORDER BY c.relpages DESC`,
    [cheapBytes],
  );
}

async function checkEach(client: Client, queue: Index[], bad: string[]): Promise<void> {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { oid, name, cheap } = next;
    await client.query("SELECT guardian_proof.bt_index_check($1::oid, $2)", [oid, cheap]).catch((err: unknown) => {
      // XX001, XX002: corrupted (manual, appendix A).
      if (!isPostgres(err) || !err.code?.startsWith("XX")) throw err;
      bad.push(name);
    });
  }
}
