import { escapeLiteral } from "pg";
import { rows, type Queryable } from "../base/sql";
import { ledgerTable } from "./schema";

/**
 * Rows that could not be moved, by key; a name for people too. Whose they are says `urn`: the URN of a data migration, or the
 * name of the archived table that they wait in.
 */
export const rejectTable = ledgerTable("reject");

/**
 * Noted of an archived row that nothing refused, but which its column's type would have changed: `object` is the column
 * (data_exception; PostgreSQL manual, appendix A).
 */
export const changedValue = "22000";

/** foreign_key_violation: what a row refers to is not there, `object` is the foreign key (appendix A). */
export const unreached = "23503";

/** Rows that could not be moved, by reason. */
export interface Reject extends Record<string, unknown> {
  sqlstate: string;
  /** The constraint or column that refused them. */
  object: string | null;
  rows: string;
}

/** @returns how many rows could not be moved */
export function rejected(rejects: readonly Reject[]): number {
  return rejects.reduce((sum, reject) => sum + Number(reject.rows), 0);
}

/** @returns how many rows are noted */
export async function countRejects(db: Queryable, urn: string): Promise<number> {
  return rejected(await readRejects(db, urn));
}

/** @returns why rows could not be moved, the most frequent reason first; no values */
export async function readRejects(db: Queryable, urn: string): Promise<Reject[]> {
  const text = `SELECT sqlstate, object, count(*) AS rows FROM ${rejectTable} WHERE urn = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2`;
  return rows<Reject>(db, text, [urn]);
}

/** @returns the keys of rows that could not be moved */
export async function rejectedKeys(db: Queryable, urn: string): Promise<string[][]> {
  const found = await rows<{ key: string[] }>(db, `SELECT key FROM ${rejectTable} WHERE urn = $1 ORDER BY key`, [urn]);
  return found.map((row) => row.key);
}

/** The statement by which a person sees them. */
export const showRejects = (urn: string): string =>
  `SELECT key, sqlstate, object FROM ${rejectTable} WHERE urn = ${escapeLiteral(urn)}`;

/** Notes that the row of a key cannot be moved. @param object the constraint or column that refused it */
export async function addReject(
  db: Queryable,
  urn: string,
  key: readonly string[],
  sqlstate: string,
  object: string | null,
): Promise<void> {
  await db.query(
    `INSERT INTO ${rejectTable} AS r (urn, key, sqlstate, object) VALUES ($1, $2, $3, $4)
     ON CONFLICT (urn, key) DO UPDATE SET sqlstate = excluded.sqlstate, object = excluded.object, rejected_at = excluded.rejected_at`,
    [urn, key, sqlstate, object],
  );
}

/**
 * Notes that rows cannot be moved, whose keys a SELECT finds; what was noted of a key stays.
 * @param keys a SELECT of one column, text[]; its parameters begin at $4
 * @returns how many were not noted before
 */
export async function addRejects(
  db: Queryable,
  of: { urn: string; sqlstate: string; object: string },
  keys: string,
  values: readonly unknown[] = [],
): Promise<number> {
  const text = `INSERT INTO ${rejectTable} (urn, sqlstate, object, key) SELECT $1, $2, $3, k.key FROM (${keys}) k(key)
    ON CONFLICT (urn, key) DO NOTHING`;
  return (await db.query(text, [of.urn, of.sqlstate, of.object, ...values])).rowCount ?? 0;
}

/** SQL: whether a key is noted. @param key SQL for the key, text[] @param by a foreign key that it is to be noted for */
export function isRejected(urn: string, key: string, by?: string): string {
  const why = by === undefined ? "" : `AND j.sqlstate = '${unreached}' AND j.object = ${escapeLiteral(by)}`;
  return `EXISTS (SELECT FROM ${rejectTable} j WHERE j.urn = ${escapeLiteral(urn)} AND j.key = ${key} ${why})`;
}

/** Forgets those whose keys a SELECT finds. @param keys of one column, text[] @returns how many */
export async function forgetSome(db: Queryable, urn: string, keys: string): Promise<number> {
  return (await db.query(`DELETE FROM ${rejectTable} WHERE urn = $1 AND key IN (${keys})`, [urn])).rowCount ?? 0;
}

/** Forgets them all. */
export async function forgetRejects(db: Queryable, urn: string): Promise<void> {
  await db.query(`DELETE FROM ${rejectTable} WHERE urn = $1`, [urn]);
}
