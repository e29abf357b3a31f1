import { type Client, escapeIdentifier } from "pg";
import type { ConnectionSettings } from "../../connect";
import { isPostgres } from "../../base/errors";
import { first, rows } from "../../base/sql";
import { differs, listed } from "./differs";
import { onScratch } from "./place";
import type { TocEntry } from "./toc";
import type { CheckedIndexes } from "./types";

/** Tables up to this size are looked through for each index besides: are all their rows in it? */
const cheapBytes = 4 * 1024 * 1024;

/** Where amcheck is put, if the database has none of its own. */
const schema = "guardian_proof";

interface Index {
  oid: number;
  name: string;
  cheap: boolean;
}

/** What there is to look at, and with what. */
interface Prepared {
  indexes: Index[];
  /** The schema of amcheck. */
  within: string;
  lacking?: string;
}

/**
 * Has amcheck look at every B-tree of the copy, several at a time, where the scratch has it. An index is no part of a backup:
 * a restore makes it anew, and this one tells of the scratch what no other comparison does.
 * @throws GuardianError of the comparison, naming the indexes
 */
export async function checkIndexes(
  settings: ConnectionSettings,
  jobs: number,
  signal: AbortSignal,
  where: string,
): Promise<CheckedIndexes> {
  const { indexes, within, lacking } = await onScratch(settings, signal, prepare);
  if (lacking !== undefined) return { checked: 0, lacking };
  const queue = [...indexes];
  const bad: string[] = [];
  const work = (client: Client): Promise<void> => checkEach(client, within, queue, bad);
  const workers = Array.from({ length: Math.min(jobs, indexes.length) }, () => onScratch(settings, signal, work));
  await Promise.all(workers);
  if (bad.length > 0) throw differs("compare", `the copy's indexes are damaged: ${listed(bad.sort())}`, where);
  return { checked: indexes.length };
}

/** What of the copy's own dump is there because its indexes are looked at meanwhile. */
export const isOfCheck = ({ kind, rest }: TocEntry): boolean =>
  (kind === "SCHEMA" && rest.startsWith(`- ${schema} `)) ||
  (kind === "EXTENSION" && rest.startsWith("- amcheck ")) ||
  (/^(COMMENT|ACL)$/.test(kind) && (rest.startsWith("- EXTENSION amcheck ") || rest.startsWith(`- SCHEMA ${schema} `)));

/** Why there is no amcheck: not among the server's files, or not for this role to make (manual, appendix A). */
const lacks: Readonly<Record<string, string>> = {
  "0A000": "the scratch lacks the extension amcheck",
  "58P01": "the scratch lacks the extension amcheck",
  "42501": "the scratch's role may not make the extension amcheck",
};

async function prepare(client: Client): Promise<Prepared> {
  // Event triggers of the copy are not for what is done to look at it.
  await client.query("SET session_replication_role = replica").catch(() => undefined);
  const own = await first<{ within: string }>(
    client,
    `SELECT n.nspname AS within FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
      WHERE e.extname = 'amcheck'`,
  );
  const within = own?.within ?? schema;
  try {
    if (!own) await client.query(`CREATE SCHEMA ${schema}; CREATE EXTENSION amcheck SCHEMA ${schema}`);
  } catch (err) {
    const lacking = isPostgres(err) ? lacks[err.code ?? ""] : undefined;
    if (lacking === undefined) throw err;
    return { indexes: [], within, lacking };
  }
  const indexes = await rows<Index>(
    client,
    `SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, pg_catalog.pg_table_size(i.indrelid) <= $1 AS cheap
       FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_am a ON a.oid = c.relam
      WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisvalid
        AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
      ORDER BY c.relpages DESC`,
    [cheapBytes],
  );
  return { indexes, within };
}

async function checkEach(client: Client, within: string, queue: Index[], bad: string[]): Promise<void> {
  const text = `SELECT ${escapeIdentifier(within)}.bt_index_check($1::oid, $2)`;
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { oid, name, cheap } = next;
    await client.query(text, [oid, cheap]).catch((err: unknown) => {
      // XX001, XX002: corrupted (manual, appendix A).
      if (!isPostgres(err) || !err.code?.startsWith("XX")) throw err;
      bad.push(name);
    });
  }
}
