import { escapeIdentifier, escapeLiteral } from "pg";
import { rows, type Queryable } from "../base/sql";
import { rejectTable } from "./rejects";
import { ledgerSchema, ledgerTable } from "./schema";

const table = ledgerTable("change");

/** What v6 changed while a migration runs, and is not settled yet. */
export interface Noted {
  keys: string[][];
  /** A table was emptied at once: every key is in question. */
  all: boolean;
}

/** @param limit how many keys at most: of keys and not of notes, or one that was noted often would hide another */
export async function noted(db: Queryable, migration: string, limit: number): Promise<Noted> {
  const text = `SELECT key FROM ${table} WHERE migration = $1 GROUP BY key ORDER BY min(id) LIMIT $2`;
  const found = await rows<{ key: string[] | null }>(db, text, [migration, limit]);
  return {
    keys: found.flatMap((row) => (row.key ? [row.key] : [])),
    all: found.some((row) => row.key === null),
  };
}

/** @returns ids of the notes that every key is in question */
export async function notesOfAll(db: Queryable, migration: string): Promise<string[]> {
  const text = `SELECT id FROM ${table} WHERE migration = $1 AND key IS NULL`;
  return (await rows<{ id: string }>(db, text, [migration])).map((note) => note.id);
}

/** Forgets notes by their ids. */
export async function forgetNotes(db: Queryable, ids: readonly string[]): Promise<void> {
  await db.query(`DELETE FROM ${table} WHERE id = ANY ($1)`, [ids]);
}

/** Forgets what was noted of one key. */
export async function forgetKey(db: Queryable, migration: string, key: readonly string[]): Promise<void> {
  await db.query(`DELETE FROM ${table} WHERE migration = $1 AND key = $2`, [migration, key]);
}

/**
 * Forgets what was noted of keys, and that they were rejected: they are about to be settled.
 * @param lists the keys, one array for each of their columns
 */
export async function forgetKeys(
  db: Queryable,
  urn: string,
  migration: string,
  lists: readonly (readonly string[])[],
): Promise<void> {
  // ANY over a sub-select of arrays: each row of it is one key.
  const unnested = lists.map((_list, i) => `pg_catalog.unnest($${i + 3}::text[])`).join(", ");
  const names = lists.map((_list, i) => `k${i}`).join(", ");
  const keys = `SELECT ARRAY[${names}] FROM ROWS FROM (${unnested}) AS l (${names})`;
  await db.query(
    `WITH gone AS (DELETE FROM ${table} WHERE migration = $2 AND key = ANY (${keys}))
     DELETE FROM ${rejectTable} WHERE urn = $1 AND key = ANY (${keys})`,
    [urn, migration, ...lists],
  );
}

/**
 * SQL: whether a key that differs has no excuse: v6 did not change it since, and it is not rejected.
 * @param parameters numbers of the parameters that hold the URN, the migration's name, and ids of notes that excuse nothing
 */
export const isUnexcused = (key: string, parameters: { urn: number; migration: number; answered: number }): string =>
  `NOT EXISTS (SELECT FROM ${table} c WHERE c.migration = $${parameters.migration} AND (c.key = ${key} OR c.key IS NULL AND c.id <> ALL ($${parameters.answered})))
   AND NOT EXISTS (SELECT FROM ${rejectTable} r WHERE r.urn = $${parameters.urn} AND r.key = ${key})`;

/** A statement for the body of a trigger: notes a key. @param key SQL; NULL: every key is in question */
export const noteSql = (migration: string, key: string, where: string): string =>
  `INSERT INTO ${table} (migration, key) SELECT ${escapeLiteral(migration)}, ${key} WHERE ${where};`;

/** A statement that forgets all that was noted for a migration. */
export const forgetSql = (migration: string): string =>
  `DELETE FROM ${table} WHERE migration = ${escapeLiteral(migration)};`;

/** The trigger function by which a migration notes what happens to one of the tables that it follows, quoted. */
export const followFunction = (migration: string, at: number): string =>
  `${escapeIdentifier(ledgerSchema)}.${escapeIdentifier(`follow_${migration}_${at}`)}`;

/** @returns the trigger functions of a migration that are there, with their argument types, quoted */
export async function followFunctions(db: Queryable, migration: string): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    `SELECT p.oid::regprocedure::text AS name FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = $1 AND p.proname ~ ('^follow_' || $2 || '_[0-9]+$')`,
    [ledgerSchema, migration],
  );
  return found.map(({ name }) => name);
}
