import { escapeIdentifier } from "pg";
import { rows, type Queryable } from "../../base/sql";

/** SQL: whether a column, alias `l`, is a time whose default, alias `d`, is no constant: it says when a row was written. */
export const isTimed = `coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) !~ '^''' AND EXISTS (
  SELECT FROM pg_catalog.pg_type y WHERE y.oid = l.atttypid AND y.typcategory = 'D'), false)`;

/**
 * A row that equals the defaults of its table, but for its primary key and the time of writing, was chosen by nobody: a mere read
 * may have made it. To a table to which keys refer none counts as such: something may hang on it.
 * @param table quoted
 * @returns SQL: whether a row, alias `l`, is one; null if none can be
 */
export async function unchosen(db: Queryable, table: string): Promise<string | null> {
  const columns = await rows<{ name: string; otherwise: string }>(
    db,
    `SELECT l.attname AS name, pg_catalog.format('(%s)::%s', coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'NULL'),
              pg_catalog.format_type(l.atttypid, l.atttypmod)) AS otherwise
     FROM pg_catalog.pg_attribute l LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = l.attrelid AND d.adnum = l.attnum
     WHERE l.attrelid = $1::regclass AND l.attnum > 0 AND NOT l.attisdropped AND l.attgenerated = '' AND NOT ${isTimed}
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
         WHERE i.indrelid = l.attrelid AND i.indisprimary AND l.attnum = ANY (i.indkey::int2[]))
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = l.attrelid)
     ORDER BY l.attnum`,
    [table],
  );
  if (columns.length === 0) return null;
  const live = columns.map(({ name }) => `l.${escapeIdentifier(name)}`).join(", ");
  const otherwise = columns.map((column) => column.otherwise).join(", ");
  return `ROW(${live})::record OPERATOR(pg_catalog.*=) (SELECT ROW(${otherwise})::record)`;
}
