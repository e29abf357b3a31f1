import { escapeIdentifier } from "pg";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import type { Waiting } from "../../ledger/archived";

/** Column of an archived table → the highest number in it, or that its sequence ever handed out. */
export type Numbers = ReadonlyMap<string, string>;

/**
 * SQL: the sequences (`seq`) of a column of a table: those that it owns and those that its default takes numbers of,
 * as far as they are ours to raise (PostgreSQL manual, 53.18, pg_depend).
 * @param table SQL for its quoted name
 * @param column alias of its row in pg_attribute
 */
const sequencesOf = (table: string, column = "a"): string => `(
  SELECT pg_catalog.pg_get_serial_sequence(${table}, ${column}.attname) AS seq
  UNION
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
  FROM pg_catalog.pg_attrdef f
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'S' AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE f.adrelid = pg_catalog.to_regclass(${table}) AND f.adnum = ${column}.attnum
)`;

/**
 * Reads what the sequences of a table must be raised past. The table itself need not be there yet: then every column that
 * may be numbered counts. Needs no lock on anything else, and may read the whole archived table.
 */
export async function archivedNumbers(db: Queryable, waiting: Waiting): Promise<Numbers> {
  if (!waiting.there) return new Map();
  const [table, archived] = [quoteName(waiting.original), quoteName(waiting.archivedAs)];
  const columns = await rows<{ name: string; seq: string | null }>(
    db,
    `SELECT a.attname AS name, s.seq
     FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL pg_catalog.pg_get_serial_sequence($1, a.attname) s(seq)
     WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND CASE
       WHEN pg_catalog.to_regclass($2) IS NULL
         THEN s.seq IS NOT NULL OR a.atttypid IN ('pg_catalog.int2'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype)
       ELSE EXISTS (SELECT FROM pg_catalog.pg_attribute l WHERE l.attrelid = pg_catalog.to_regclass($2) AND l.attname = a.attname
         AND NOT l.attisdropped AND EXISTS (SELECT FROM ${sequencesOf("$2", "l")} s WHERE s.seq IS NOT NULL)) END`,
    [archived, table],
  );
  if (columns.length === 0) return new Map();
  await db.query("SET LOCAL row_security = off");
  const highest = columns.map(({ name, seq }) => {
    const handedOut = seq === null ? "NULL" : `(SELECT last_value FROM ${seq} WHERE is_called)`;
    return `greatest(max(${escapeIdentifier(name)}), ${handedOut})::text`;
  });
  const found = await first<{ highest: (string | null)[] }>(
    db,
    `SELECT ARRAY[${highest.join(", ")}] AS highest FROM ${archived}`,
  );
  return new Map(
    columns.flatMap(({ name }, i): [string, string][] => {
      const number = found?.highest[i];
      return number === null || number === undefined ? [] : [[name, number]];
    }),
  );
}

/**
 * Moves each sequence of a table past every value that waits in the archive, and past all that were ever handed out. Done
 * in the transaction that makes the table, once it is made: from its first moment no new row takes the number of an
 * archived one.
 */
export async function raiseSequences(db: Queryable, waiting: Waiting, numbers: Numbers): Promise<void> {
  if (numbers.size === 0) return;
  const table = quoteName(waiting.original);
  const sequences = await rows<{ name: string; seq: string }>(
    db,
    `SELECT a.attname AS name, s.seq
     FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL ${sequencesOf("$1")} s
     WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY ($2) AND s.seq IS NOT NULL`,
    [table, [...numbers.keys()]],
  );
  await db.query("SET LOCAL row_security = off");
  for (const { name, seq } of sequences) {
    const live = `(SELECT max(${escapeIdentifier(name)}) FROM ${table}), (SELECT last_value FROM ${seq} WHERE is_called)`;
    await db.query(
      `SELECT pg_catalog.setval($1::text::regclass, v) FROM (SELECT greatest($2::bigint, ${live})::bigint AS v) s WHERE v > 0`,
      [seq, numbers.get(name)],
    );
  }
}
