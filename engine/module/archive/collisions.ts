import { escapeIdentifier } from "pg";
import { rows, type Queryable } from "../../base/sql";
import { addRejects } from "../../ledger/rejects";
import type { Named } from "./refused";

/*
 * A live row and an archived one that collide by a key which the archived rows have among themselves are the same thing. Such a
 * live row was written while the archived one waited: by a person, or by a mere read that made a row of defaults. One of defaults,
 * which nobody chose, gives way. Where both say the same the archived one goes. Else the live row wins and the archived one stays
 * in the archive, noted, until somebody settles it. By a key that the archived rows do not have (a later version brought it, its
 * columns are read as another type or emptied on the way) two of them may collide: whom it refuses is found by trying, and noted too.
 */

/** A key by which a live row and an archived one are the same thing, evaluated on either. */
interface SharedKey extends Record<string, unknown> {
  /** Its index. */
  name: string;
  primary: boolean;
  /** What the table says of who collides by it (PostgreSQL manual, appendix A). */
  sqlstate: string;
  /** SQL of its columns or expressions, by the names of the table's columns. */
  expressions: string[];
  /** How each is compared, as SQL: `OPERATOR(schema.name)`. */
  operators: string[];
  /** SQL of the condition that a row is in the index; null for all. */
  predicate: string | null;
  /** Whether two NULLs are the same. */
  nullsSame: boolean;
}

/**
 * SQL: unique and exclusion indexes of two tables ($1, $2), with `sign`, which says all that decides what collides: the same sign
 * means that who obeys the one obeys the other (PostgreSQL manual, 53.26, pg_index; 53.13, pg_constraint, conexclop).
 * Equality is strategy 3 of a B-tree (Interfacing Extensions to Indexes, B-Tree Strategies).
 */
const indexes = `
SELECT i.indrelid, i.indexrelid, i.indisvalid, i.indisprimary, i.indisexclusion, p.expressions, p.operators, i.indnullsnotdistinct, x.predicate, c.kept,
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
 * @returns the unique keys and exclusion constraints of a table that gets its rows back which the archived rows obey too
 */
export async function sharedKeys(
  db: Queryable,
  table: string,
  archived: string,
  altered: readonly string[],
): Promise<SharedKey[]> {
  return rows<SharedKey>(
    db,
    `WITH i AS MATERIALIZED (${indexes})
     SELECT c.relname AS name, l.indisprimary AS primary, CASE WHEN l.indisexclusion THEN '23P01' ELSE '23505' END AS sqlstate,
            l.expressions, l.operators, l.predicate, l.indnullsnotdistinct AS "nullsSame"
     FROM i l JOIN pg_catalog.pg_class c ON c.oid = l.indexrelid
     WHERE l.indrelid = $1::regclass AND l.kept
       AND EXISTS (SELECT FROM i a WHERE a.indrelid = $2::regclass AND a.indisvalid AND a.sign = l.sign) ORDER BY l.indisprimary, c.relname`,
    [table, archived, altered],
  );
}

/** Rows of the archive that meet live ones. */
export interface Meeting extends Named {
  table: string;
  shared: readonly SharedKey[];
  /** What both tables have: SQL of the live value on alias `l`, and of the archived one on alias `m`. Times of writing aside. */
  compared: readonly { live: string; value: string }[];
  /** SQL: whether a live row, alias `l`, has what nobody chose; null where none is to give way. */
  unchosen: string | null;
}

/**
 * Settles which archived rows come although a live row is the same thing, and which do not. The table is locked first, so that no
 * row comes after that.
 * @param ctids places of rows
 * @returns how many were taken out of the archive, and how many are noted and stay
 */
export async function settle(
  db: Queryable,
  of: Meeting,
  ctids: readonly string[],
): Promise<{ beaten: bigint; noted: number }> {
  await db.query(`LOCK TABLE ${of.table} IN SHARE ROW EXCLUSIVE MODE`);
  let [beaten, noted, open] = [0n, 0, ctids];
  // The primary key comes last: by it a row may give way, which must not be in vain.
  for (const key of of.shared) {
    const met = await meeting(db, of, key, open);
    if (met.length === 0) continue;
    if (key.primary && of.unchosen !== null) await giveWay(db, of, key, of.unchosen, met);
    const equal = await meeting(db, of, key, met, "AND l.whole OPERATOR(pg_catalog.*=) f.whole");
    await db.query(`DELETE FROM ${of.archived} WHERE ctid = ANY ($1::tid[])`, [equal]);
    beaten += BigInt(equal.length);
    const staying = await meeting(db, of, key, met);
    const keys = `SELECT ${of.key("m")} FROM ${of.archived} m WHERE m.ctid = ANY ($4::tid[])`;
    noted += await addRejects(db, { urn: of.urn, sqlstate: key.sqlstate, object: key.name }, keys, [staying]);
    open = open.filter((at) => !staying.includes(at));
  }
  return { beaten, noted };
}

/** SQL of archived rows at some places ($1), or of live ones, by the parts of a key. */
function sides(of: Meeting, key: SharedKey): { own: string; live: string } {
  const list = key.expressions.map((expression, i) => `${expression} AS ${part(i)}`).join(", ");
  const holds = key.predicate === null ? "" : `AND (${key.predicate})`;
  const whole = (values: readonly string[]): string => `ROW(${values.join(", ")})::record AS whole`;
  return {
    own: `(SELECT m.ctid AS place, ${list}, ${whole(of.compared.map(({ value }) => value))} FROM ${of.archived} m WHERE m.ctid = ANY ($1::tid[]) ${holds}) f`,
    live: `(SELECT l.ctid AS place, ${list}, ${whole(of.compared.map(({ live }) => live))} FROM ${of.table} l WHERE true ${holds}) l`,
  };
}

/** @returns the places of those that a live row meets by a key */
async function meeting(
  db: Queryable,
  of: Meeting,
  key: SharedKey,
  ctids: readonly string[],
  also = "",
): Promise<string[]> {
  const { own, live } = sides(of, key);
  const found = (await sames(db, key, own, ctids)).map(
    (same) => `SELECT f.place::text AS at FROM ${own} WHERE EXISTS (SELECT FROM ${live} WHERE ${same} ${also})`,
  );
  if (found.length === 0) return [];
  return (await rows<{ at: string }>(db, found.join(" UNION ALL "), [ctids])).map(({ at }) => at);
}

/** Deletes live rows that nobody chose, and that archived ones at some places meet by the primary key. */
async function giveWay(db: Queryable, of: Meeting, key: SharedKey, unchosen: string, ctids: string[]): Promise<void> {
  const { own, live } = sides(of, key);
  const [same = "false"] = await sames(db, key, own, ctids);
  await db.query(
    `DELETE FROM ${of.table} l WHERE l.ctid = ANY (ARRAY(SELECT l.place FROM ${own} JOIN ${live} ON ${same})) AND ${unchosen}`,
    [ctids],
  );
}

/** SQL: whether `l` and `f` are the same by a key; of one whose NULLs are the same once for each way that they occur. */
async function sames(db: Queryable, key: SharedKey, own: string, ctids: readonly string[]): Promise<string[]> {
  const ways = key.nullsSame ? await nullsOf(db, key, own, ctids) : [[]];
  return ways.map((nulls) =>
    key.operators
      .map((operator, i) =>
        nulls[i] ? `l.${part(i)} IS NULL AND f.${part(i)} IS NULL` : `l.${part(i)} ${operator} f.${part(i)}`,
      )
      .join(" AND "),
  );
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
