import { escapeIdentifier } from "pg";
import { rows, type Queryable } from "../../base/sql";

/*
 * A live row wins over an archived one: by a key that the archived rows have among themselves they are the same thing. By one that
 * they do not have (a later version brought it, its columns are read as another type or emptied on the way) two archived rows may
 * collide with each other. Whom such a key refuses is not beaten: it stays in the archive, noted.
 */

/** A key by which a live row beats an archived one, evaluated on either. */
interface SharedKey extends Record<string, unknown> {
  /** SQL of its columns or expressions, by the names of the table's columns. */
  expressions: string[];
  /** How each is compared, as SQL: `OPERATOR(schema.name)`. */
  operators: string[];
  /** SQL of the condition that a row is in the index; null for all. */
  predicate: string | null;
  /** Whether two NULLs are the same. */
  nullsSame: boolean;
}

/** The unique keys and exclusion constraints of a table that gets its rows back. */
export interface UniqueKeys {
  /** Those that the archived rows obey too. */
  shared: SharedKey[];
  /** Whether there are others. */
  fresh: boolean;
}

/**
 * SQL: unique and exclusion indexes of two tables ($1, $2), with `sign`, which says all that decides what collides: the same sign
 * means that who obeys the one obeys the other (PostgreSQL manual, 53.26, pg_index; 53.13, pg_constraint, conexclop).
 * Equality is strategy 3 of a B-tree (Interfacing Extensions to Indexes, B-Tree Strategies).
 */
const indexes = `
SELECT i.indrelid, i.indisvalid, p.expressions, p.operators, i.indnullsnotdistinct, x.predicate, c.kept,
       pg_catalog.jsonb_build_array(i.indisunique, i.indisexclusion, i.indnullsnotdistinct, p.expressions, p.operators, x.predicate, c.types) AS sign
FROM pg_catalog.pg_index i
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate) x
CROSS JOIN LATERAL (
  SELECT array_agg(pg_catalog.format('(%s)%s', pg_catalog.pg_get_indexdef(i.indexrelid, n, false),
           CASE WHEN l.oid IS NOT NULL THEN pg_catalog.format(' COLLATE %I.%I', (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = l.collnamespace), l.collname) END) ORDER BY n) AS expressions,
         array_agg(pg_catalog.format('OPERATOR(%I.%s)', (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = o.oprnamespace), o.oprname) ORDER BY n) AS operators
  FROM pg_catalog.generate_series(1, i.indnkeyatts) n
  JOIN pg_catalog.pg_opclass y ON y.oid = i.indclass[n - 1]
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = i.indcollation[n - 1]
  JOIN pg_catalog.pg_operator o ON o.oid = coalesce(k.conexclop[n], (SELECT q.amopopr FROM pg_catalog.pg_amop q
    WHERE q.amopfamily = y.opcfamily AND q.amoplefttype = y.opcintype AND q.amoprighttype = y.opcintype AND q.amopstrategy = 3))
) p
CROSS JOIN LATERAL (
  SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, a.atttypid, a.attcollation) ORDER BY a.attname) AS types,
         bool_and(a.attgenerated = '' AND a.attname <> ALL ($3)) AS kept
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0
    AND (a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) OR EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
        AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))
) c
WHERE i.indrelid IN ($1::regclass, $2::regclass) AND (i.indisunique OR i.indisexclusion)`;

/**
 * @param table and `archived`: quoted
 * @param altered columns whose value may become another one on the way
 */
export async function uniqueKeys(
  db: Queryable,
  table: string,
  archived: string,
  altered: readonly string[],
): Promise<UniqueKeys> {
  const found = await rows<SharedKey & { shared: boolean }>(
    db,
    `WITH i AS MATERIALIZED (${indexes})
     SELECT l.expressions, l.operators, l.predicate, l.indnullsnotdistinct AS "nullsSame",
            l.kept AND EXISTS (SELECT FROM i a WHERE a.indrelid = $2::regclass AND a.indisvalid AND a.sign = l.sign) AS shared
     FROM i l WHERE l.indrelid = $1::regclass`,
    [table, archived, altered],
  );
  return { shared: found.filter(({ shared }) => shared), fresh: found.some(({ shared }) => !shared) };
}

/**
 * Takes rows out of the archive that a live row beats. The table is locked first, so that none comes after that.
 * @param ctids places of rows
 * @returns how many
 */
export async function takeBeaten(
  db: Queryable,
  { table, archived, unique }: { table: string; archived: string; unique: UniqueKeys },
  ctids: readonly string[],
): Promise<bigint> {
  await db.query(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`);
  const beaten: string[] = [];
  for (const key of unique.shared) {
    const list = key.expressions.map((expression, i) => `${expression} AS ${part(i)}`).join(", ");
    const holds = key.predicate === null ? "" : `AND (${key.predicate})`;
    const own = `(SELECT ctid AS place, ${list} FROM ${archived} WHERE ctid = ANY ($1::tid[]) ${holds}) f`;
    for (const nulls of key.nullsSame ? await nullsOf(db, key, own, ctids) : [[]]) {
      const same = key.operators.map((operator, i) =>
        nulls[i] ? `l.${part(i)} IS NULL AND f.${part(i)} IS NULL` : `l.${part(i)} ${operator} f.${part(i)}`,
      );
      beaten.push(`SELECT f.place FROM ${own}
        WHERE EXISTS (SELECT FROM (SELECT ${list} FROM ${table} WHERE true ${holds}) l WHERE ${same.join(" AND ")})`);
    }
  }
  if (beaten.length === 0) return 0n;
  const gone = await db.query(`DELETE FROM ${archived} WHERE ctid = ANY (ARRAY(${beaten.join(" UNION ALL ")}))`, [
    ctids,
  ]);
  return BigInt(gone.rowCount ?? 0);
}

/**
 * Which parts of a key are NULL, for each way that occurs among the rows: by `a = b OR a IS NULL AND b IS NULL` the server
 * looks for each of these rows at all live ones whose first part is NULL; by one of the two it finds a row by the whole key.
 */
async function nullsOf(db: Queryable, key: SharedKey, from: string, ctids: readonly string[]): Promise<boolean[][]> {
  const parts = key.expressions.map((_, i) => `${part(i)} IS NULL`).join(", ");
  const found = await rows<{ nulls: boolean[] }>(db, `SELECT DISTINCT ARRAY[${parts}] AS nulls FROM ${from}`, [ctids]);
  return found.map(({ nulls }) => nulls);
}

const part = (i: number): string => escapeIdentifier(`part ${i}`);
