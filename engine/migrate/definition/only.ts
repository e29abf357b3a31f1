import { sqlParser } from "../../base/parsers";
import { quoteName, rows, type Queryable } from "../../base/sql";

/**
 * Rows of a table that inherits from v6's are not v6's rows: no key reaches them, and no trigger of v6's table fires for
 * them. A source reads them all the same, unless it says ONLY (PostgreSQL manual, 5.11). A partition's rows are its table's.
 */

/** @returns the plain tables from which others inherit, as `schema.name` */
export async function parents(db: Queryable): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    `SELECT DISTINCT n.nspname || '.' || c.relname AS name FROM pg_catalog.pg_inherits i
     JOIN pg_catalog.pg_class c ON c.oid = i.inhparent AND c.relkind = 'r'
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
  );
  return found.map((row) => row.name);
}

/** @returns a relation for a FROM clause */
export const onlyOf = (relation: string, among: readonly string[]): string =>
  `${among.includes(relation) ? "ONLY " : ""}${quoteName(relation)}`;

/** @returns a SELECT that reads of each of the tables nothing but its own rows */
export async function readOnly(sql: string, among: readonly string[]): Promise<string> {
  if (among.length === 0) return sql;
  const at: number[] = [];
  find(await sqlParser().parse(sql), among, at);
  // The tree counts in bytes.
  let bytes = Buffer.from(sql);
  for (const place of at.sort((a, b) => b - a)) {
    bytes = Buffer.concat([bytes.subarray(0, place), Buffer.from("ONLY "), bytes.subarray(place)]);
  }
  return bytes.toString();
}

/** Adds where the tables stand that are read with what inherits from them. */
function find(node: unknown, among: readonly string[], at: number[]): void {
  if (Array.isArray(node)) for (const item of node) find(item, among, at);
  if (node === null || typeof node !== "object" || Array.isArray(node)) return;
  const { relname, schemaname = "public", inh, location = 0 } = node as Record<string, unknown>;
  if (typeof relname === "string" && inh === true && among.includes(`${String(schemaname)}.${relname}`))
    at.push(Number(location));
  for (const item of Object.values(node)) find(item, among, at);
}
