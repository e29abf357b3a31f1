import { escapeIdentifier, escapeLiteral } from "pg";
import { first, rows, type Queryable } from "../../../base/sql";
import type { Line } from "./lines";
import { valuesOf } from "./lines";
import type { Column, Table } from "./table";

/** What a look at some rows of the backup has shown. */
export interface Looked {
  readonly missing: readonly Line[];
  /** Rows with other values. */
  readonly differing: readonly { line: Line; writtenBy: bigint }[];
}

const epoch = 1n << 32n;

/**
 * The whole id of the transaction that wrote a row. A row shows 32 bits of it; of a living one, whoever wrote it did so less than
 * 2^32 transactions ago, or else its row is frozen and has long been what it is.
 * @param xmin as the row shows it; 0 to 2 are no transaction's: before all
 * @param next the id that is given next (xid8)
 */
export function wholeId(xmin: string, next: string): bigint {
  const [short, until] = [BigInt(xmin), BigInt(next)];
  if (short < 3n) return 0n;
  const back = (((until - short) % epoch) + epoch) % epoch;
  return back > until ? 0n : until - back;
}

/**
 * SQL: a value as COPY writes it, by its type's output function; NULL for none. A cast to text would trim a char(n), and write
 * true for t. A composite value of NULLs alone IS NULL too, and is told from none by the number of NULLs among the arguments.
 */
const output = (expression: string): string =>
  `CASE WHEN pg_catalog.num_nulls(${expression}) = 0 THEN pg_catalog.concat(${expression}) END`;

const valueOf = (alias: string, { name }: Column): string => output(`${alias}.${escapeIdentifier(name)}`);

/** SQL: whether a row is one of those that are asked for. @param given the name of the value for a column of the key */
const joined = (table: Table, given: (column: Column, nth: number) => string): string =>
  table.key
    .map((column, nth) => `t.${escapeIdentifier(column.name)} = k.${given(column, nth)}::${column.bare}`)
    .join(" AND ");

const decoded = (text: string): string => Buffer.from(text, "latin1").toString("utf8");

/** @returns the keys, one list a column, as the server takes them */
const keysOf = (table: Table, lines: readonly Line[]): string[][] =>
  table.key.map((_column, i) => lines.map(({ key }) => decoded(key[i] ?? "")));

/** SQL: as many lists side by side, of which each row is one of each. */
const lists = (count: number): string =>
  `ROWS FROM (${Array.from({ length: count }, (_none, i) => `pg_catalog.unnest($${i + 1}::text[])`).join(", ")}) WITH ORDINALITY`;

/**
 * Looks up rows of the backup in their table: which are not there, and which have other values. The rows themselves stay where
 * they are: keys and digests go, and what does not agree comes back.
 */
export async function lookUp(db: Queryable, table: Table, lines: readonly Line[]): Promise<Looked> {
  const names = table.key.map((_column, i) => `k${i}`).join(", ");
  const at = table.key.length;
  const digest = `pg_catalog.sha256(pg_catalog.convert_to(ARRAY[${table.columns.map((column) => valueOf("t", column)).join(", ")}]::text, pg_catalog.getdatabaseencoding()))`;
  const found = await rows<{ place: number; xmin: string | null; next: string }>(
    db,
    `SELECT (k.n - 1)::integer AS place, t.xmin::text AS xmin, pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS next
       FROM ${lists(at)} AS k (${names}, n)
       LEFT JOIN ONLY ${table.quoted} t ON ${joined(table, (_column, nth) => `k${nth}`)}
      WHERE t.ctid IS NULL OR ${digest} <> pg_catalog.substring($${at + 1}::bytea, ((k.n - 1) * 32 + 1)::integer, 32)`,
    [...keysOf(table, lines), Buffer.concat(lines.map(({ digest: own }) => own))],
  );
  const missing: Line[] = [];
  const differing: { line: Line; writtenBy: bigint }[] = [];
  for (const { place, xmin, next } of found) {
    const line = lines[place];
    if (!line) continue;
    if (xmin === null) missing.push(line);
    else differing.push({ line, writtenBy: wholeId(xmin, next) });
  }
  return { missing: missing.sort((a, b) => a.nth - b.nth), differing };
}

/** A row that is not what it was, and which of its columns are not. */
export interface Changed {
  /** Which of the backup's rows. */
  readonly nth: number;
  readonly key: string;
  readonly columns: readonly string[];
}

/**
 * Looks again at rows whose digests differ, value by value: the backup's text is read as its type and written again by this
 * session, so that what only looks otherwise is the same. A row that somebody has written meanwhile is left out.
 * @param oldest the oldest transaction that was running when the backup was taken
 */
export async function whatDiffers(
  db: Queryable,
  table: Table,
  lines: readonly Line[],
  oldest: bigint,
): Promise<Changed[]> {
  const values = lines.map(({ text }) => valuesOf(text));
  const given = table.columns.map(({ place }) =>
    values.map((row) => (row[place] == null ? null : decoded(row[place]))),
  );
  const names = table.columns.map((_column, i) => `b${i}`);
  const same = (column: Column, i: number): string => {
    const was = `k.b${i}::${column.type}`;
    return `CASE WHEN (${output(was)}) IS DISTINCT FROM (${valueOf("t", column)}) THEN ${escapeLiteral(column.name)} END`;
  };
  const on = joined(table, (column) => `b${table.columns.indexOf(column)}`);
  const found = await rows<{ place: number; xmin: string; next: string; columns: string[] }>(
    db,
    `SELECT * FROM (
       SELECT (k.n - 1)::integer AS place, t.xmin::text AS xmin, pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS next,
         pg_catalog.array_remove(ARRAY[${table.columns.map(same).join(", ")}], NULL)::text[] AS columns
       FROM ${lists(names.length)} AS k (${names.join(", ")}, n)
       JOIN ONLY ${table.quoted} t ON ${on}) d
     WHERE pg_catalog.cardinality(d.columns) > 0`,
    given,
  );
  return found
    .filter(({ xmin, next }) => wholeId(xmin, next) < oldest)
    .map(({ place, columns }) => ({ nth: lines[place]?.nth ?? 0, key: keyText(table, lines[place]), columns }))
    .sort((a, b) => a.nth - b.nth);
}

/** @returns a row's key for people; of a table whose keys could say something of a person, nothing of it */
export const keyText = ({ plain }: Table, line: Line | undefined): string =>
  plain ? (line?.key ?? []).join(", ") : "(a key that may be personal is not told)";

/** Blocks of a table, each of `block_size` bytes. */
export async function blocksOf(db: Queryable, table: Pick<Table, "quoted">): Promise<number> {
  const found = await first<{ blocks: number }>(
    db,
    `SELECT (pg_catalog.pg_relation_size(pg_catalog.to_regclass($1)) / pg_catalog.current_setting('block_size')::integer)::float8 AS blocks`,
    [table.quoted],
  );
  return found?.blocks ?? 0;
}

/** Rows of some blocks, and those among them that the migration's own transactions wrote. */
export interface Scanned {
  readonly rows: number;
  readonly ours: number;
  /** Keys of the first of these. */
  readonly keys: readonly string[];
}

/**
 * Reads blocks of a table in the order in which they lie (a TID range scan, since PostgreSQL 14): of each row who wrote it.
 * @param to the first block that is not read; absent: to the end
 * @param ours the migration's transactions, as xmin shows them
 */
export async function scan(
  db: Queryable,
  table: Pick<Table, "quoted"> & Partial<Pick<Table, "key" | "plain">>,
  { from, to }: { from: number; to: number | undefined },
  ours: readonly string[],
): Promise<Scanned> {
  const { key = [], plain = false } = table;
  const told = plain && key.length > 0;
  const text = told
    ? `pg_catalog.concat_ws(', ', ${key.map(({ name }) => `t.${escapeIdentifier(name)}`).join(", ")})`
    : "NULL::text";
  const written = "t.xmin = ANY ($1::xid[])";
  const until = to === undefined ? "" : `AND t.ctid < '(${to},0)'::tid`;
  const found = await first<{ rows: number; ours: number; keys: string[] | null }>(
    db,
    `SELECT count(*)::float8 AS rows, count(*) FILTER (WHERE ${written})::float8 AS ours,
       (pg_catalog.array_agg(${text}) FILTER (WHERE ${written}))[1:8] AS keys
     FROM ONLY ${table.quoted} t WHERE t.ctid >= '(${from},0)'::tid ${until}`,
    [[...ours]],
  );
  return { rows: found?.rows ?? 0, ours: found?.ours ?? 0, keys: told ? (found?.keys ?? []) : [] };
}
