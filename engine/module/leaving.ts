import { standingBut } from "../ledger/modules";
import { quoteName, rows, type Queryable } from "../base/sql";
import type { Manifest } from "./files/manifest";

/** What a module that is applied and no longer declared leaves in the archive. */
export interface Leaving {
  module: string;
  /** Its archived tables with rows, and how many; `about` where that is the planner's estimate. */
  rows: { table: string; rows: number; about: boolean }[];
  /** How many objects it made, which go; tables with rows, and what is theirs, to the archive. */
  objects: number;
  /** Tables of v6 that are locked meanwhile. */
  locks: string[];
}

/** Rows of a table that is larger, in bytes, are not counted but estimated: counting costs seconds. */
const countUpTo = 64 * 1024 * 1024;

/**
 * Finds what the program takes out: Pulumi asks nobody about a delete before it does it, so that a folder that was lost
 * in a merge would plan one without a word.
 * @param declared names of all modules that the program declares
 */
export async function leavingModules(db: Queryable, declared: readonly string[]): Promise<Leaving[]> {
  const leaving = await standingBut(db, declared);
  const found: Leaving[] = [];
  for (const { name, manifest } of leaving) {
    const { archive, objects, locks } = manifest as Manifest;
    const counted = await Promise.all(archive.map(({ table }) => countRows(db, table)));
    const kept = counted.filter((one) => one.rows > 0);
    // While rows wait they refer to their account (undo.ts).
    const subjects = archive.some(
      ({ table, subject }) => subject !== undefined && kept.some((one) => one.table === table),
    );
    const locked = new Set([...locks, ...(subjects ? ["auth.users"] : [])]);
    found.push({ module: name, rows: kept, objects: objects.length, locks: [...locked].sort() });
  }
  return found;
}

async function countRows(db: Queryable, table: string): Promise<Leaving["rows"][number]> {
  const [known] = await rows<{ about: string; exact: boolean }>(
    db,
    `SELECT greatest(c.reltuples, 0)::bigint AS about, pg_catalog.pg_relation_size(c.oid) <= $2
       AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND NOT pg_catalog.row_security_active(c.oid) AS exact
     FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)`,
    [quoteName(table), countUpTo],
  );
  if (!known?.exact) return { table, rows: Number(known?.about ?? 0), about: true };
  const [counted] = await rows<{ n: string }>(db, `SELECT count(*) AS n FROM ${quoteName(table)}`);
  return { table, rows: Number(counted?.n ?? 0), about: false };
}
