import { exists, first, rows, type Queryable } from "../base/sql";
import { ledgerTable } from "./schema";

/** One row an application of a module; objects.ts joins it. */
export const moduleTable = ledgerTable("module");

/** A module as it is applied. */
export interface NewApplication {
  urn: string;
  name: string;
  /** module.yaml, with what the module's texts mean; JSON. */
  manifest: object;
  up: string;
  down: string;
  verify: string;
}

/** @returns the id of the new application */
export async function addApplication(db: Queryable, of: NewApplication): Promise<string> {
  const row = await first<{ id: string }>(
    db,
    `INSERT INTO ${moduleTable} (urn, name, manifest, up, down, verify) VALUES ($1, $2, $3, $4, $5, $6) RETURNING apply_id AS id`,
    [of.urn, of.name, JSON.stringify(of.manifest), of.up, of.down, of.verify],
  );
  return row?.id ?? "";
}

/** What stands in the ledger about an application. */
export interface Application<M> {
  applyId: string;
  name: string;
  manifest: M;
  down: string;
}

/**
 * @typeParam M what module.yaml gives
 * @returns the application that stands now, with what takes it back
 */
export async function readApplication<M>(db: Queryable, urn: string): Promise<Application<M> | undefined> {
  return first<Application<M> & Record<string, unknown>>(
    db,
    `SELECT apply_id AS "applyId", name, manifest, down FROM ${moduleTable}
     WHERE urn = $1 AND undone_at IS NULL ORDER BY apply_id DESC LIMIT 1`,
    [urn],
  );
}

/** @returns the id of the application that stands now, if there is one */
export async function currentApply(db: Queryable, urn: string): Promise<string | undefined> {
  const text = `SELECT apply_id AS id FROM ${moduleTable} WHERE urn = $1 AND undone_at IS NULL ORDER BY apply_id DESC LIMIT 1`;
  return (await first<{ id: string }>(db, text, [urn]))?.id;
}

/** @returns names of all modules that stand */
export async function standingModules(db: Queryable): Promise<string[]> {
  const text = `SELECT name FROM ${moduleTable} WHERE undone_at IS NULL`;
  return (await rows<{ name: string }>(db, text)).map((row) => row.name);
}

/** @returns names of the modules that stand and lock tables of v6 while they are made, in order; none where there is no ledger */
export async function modulesOnV6(db: Queryable): Promise<string[]> {
  if (!(await exists(db, moduleTable))) return [];
  const text = `SELECT name FROM ${moduleTable}
    WHERE undone_at IS NULL AND pg_catalog.jsonb_array_length(manifest->'locks') > 0 ORDER BY apply_id`;
  return (await rows<{ name: string }>(db, text)).map((row) => row.name);
}

/** @returns the day on which the first module that stands was applied, where on Earth it was earliest: 2026-11-30; undefined where none stands */
export async function standingSince(db: Queryable): Promise<string | undefined> {
  if (!(await exists(db, moduleTable))) return undefined;
  const text = `SELECT (min(applied_at) AT TIME ZONE 'UTC' - interval '12 hours')::date::text AS day FROM ${moduleTable} WHERE undone_at IS NULL`;
  return (await first<{ day: string | null }>(db, text))?.day ?? undefined;
}

/**
 * @returns the modules that stand, with what module.yaml gives, but for those of these names, the newest first: in that order they are taken out
 */
export async function standingBut(
  db: Queryable,
  names: readonly string[],
): Promise<{ name: string; manifest: unknown }[]> {
  const text = `SELECT name, manifest FROM ${moduleTable} WHERE undone_at IS NULL AND name <> ALL ($1) ORDER BY apply_id DESC`;
  return rows<{ name: string; manifest: unknown }>(db, text, [names]);
}

/** @returns names of the modules that stand and require another */
export async function requiring(db: Queryable, of: { name: string; applyId: string }): Promise<string[]> {
  const text = `SELECT name FROM ${moduleTable} WHERE undone_at IS NULL AND manifest->'requires' ? $1 AND apply_id <> $2`;
  return (await rows<{ name: string }>(db, text, [of.name, of.applyId])).map((row) => row.name);
}

/** @returns whose application it is; undefined for one that the ledger does not know */
export async function urnOfApply(db: Queryable, applyId: string): Promise<string | undefined> {
  return (await first<{ urn: string }>(db, `SELECT urn FROM ${moduleTable} WHERE apply_id = $1`, [applyId]))?.urn;
}

/** Says that an application does not stand any more. */
export async function endApplication(db: Queryable, applyId: string): Promise<void> {
  await db.query(`UPDATE ${moduleTable} SET undone_at = pg_catalog.clock_timestamp() WHERE apply_id = $1`, [applyId]);
}

/** Records other texts by which the application that stands is taken back and verified. */
export async function setTexts(db: Queryable, urn: string, texts: { down: string; verify: string }): Promise<void> {
  await db.query(`UPDATE ${moduleTable} SET down = $2, verify = $3 WHERE urn = $1 AND undone_at IS NULL`, [
    urn,
    texts.down,
    texts.verify,
  ]);
}
