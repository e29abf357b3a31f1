import { escapeIdentifier } from "pg";
import { GuardianError } from "../../base/errors";
import { exists, first, quoteName, rows, type Queryable } from "../../base/sql";
import { readWaiting } from "../../ledger/archived";
import { readLedger } from "../../ledger/identity";
import type { Migration, Source } from "./migration";
import { onlyOf, parents, readOnly } from "./only";
import { bind, condition, under, type Range } from "./range";

/** A migration in one database: which source it has there, and the types of its key. */
export interface Mapped extends Migration {
  source: Source;
  /** `from` as it is read: without the rows of tables that inherit from it. */
  readFrom: string;
  /** Types of the key's columns, as format_type writes them. */
  types: string[];
  /**
   * Archived forms of the target of which rows wait: what somebody decided is in there still, so that a row which the
   * migration would write beside one of them is not written.
   */
  waiting: string[];
}

/**
 * Finds out how a migration runs in this database.
 * @throws GuardianError if no source fits, or the key is not unique and not null, or sorted in another way in the target
 *   or by operators that the engine's sessions do not see
 */
export async function mapped(db: Queryable, migration: Migration): Promise<Mapped> {
  const alone = await parents(db);
  const found = await sourceFor(db, migration);
  const source = { ...found, sql: await readOnly(found.sql, alone) };
  const key = await rows<{ name: string; type: string; required: boolean; sorted: boolean; foreign: boolean }>(
    db,
    `SELECT k.name, pg_catalog.format_type(a.atttypid, -1) AS type, a.attnotnull AS required,
            coalesce(t.attcollation = a.attcollation, true) AS sorted, ${foreignOrder("a.atttypid")} AS "foreign"
     FROM unnest($2::text[], $4::text[]) WITH ORDINALITY k(name, theirs, place)
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::regclass AND a.attname = k.name AND NOT a.attisdropped
     LEFT JOIN pg_catalog.pg_attribute t ON t.attrelid = pg_catalog.to_regclass($3) AND t.attname = k.theirs AND NOT t.attisdropped
     ORDER BY k.place`,
    [quoteName(migration.from), migration.key, quoteName(migration.target), migration.targetKey],
  );
  // A range of the plan would hold other keys there.
  const crooked = key.filter((column) => !column.sorted).map((column) => column.name);
  if (crooked.length > 0) {
    throw new GuardianError("key-unfit", {
      what: `data migration ${migration.name} walks a key that its target sorts by another collation`,
      where: `${migration.from} (${crooked.join(", ")}), ${migration.target} (${migration.targetKey.join(", ")})`,
      todo: "give the target's columns the collation of the key's",
    });
  }
  const foreign = key.filter((column) => column.foreign).map((column) => `${column.name} ${column.type}`);
  if (foreign.length > 0) {
    throw new GuardianError("key-unfit", {
      what: `data migration ${migration.name} walks a key whose type is compared by operators of an extension or of v6's own; the engine sees PostgreSQL's only, and would miss rows`,
      where: `${migration.from} (${foreign.join(", ")})`,
      todo: "walk another key that is unique and not null, of a type that PostgreSQL brings (uuid, a number, text)",
    });
  }
  const unique = await first(
    db,
    `SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY u.place) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY u(num, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num) = $2::text[]`,
    [quoteName(migration.from), migration.key],
  );
  if (unique && key.every((column) => column.required)) {
    const readFrom = onlyOf(migration.from, alone);
    const waiting = await waitingForms(db, migration);
    return { ...migration, source, readFrom, types: key.map((k) => k.type), waiting };
  }
  throw new GuardianError("key-unfit", {
    what: `data migration ${migration.name} walks a key that is not unique and not null here, so a row could be missed or come twice`,
    where: `${migration.from} (${migration.key.join(", ")})`,
    todo: "give it a primary key or a unique index on columns that are NOT NULL",
  });
}

/** Those that have the columns by which a row is known; one of an older release may not. */
async function waitingForms(db: Queryable, { target, targetKey, match }: Migration): Promise<string[]> {
  if (!(await readLedger(db))) return [];
  const names = (await readWaiting(db, [target])).filter(({ there }) => there).map(({ archivedAs }) => archivedAs);
  const fit = await rows<{ name: string }>(
    db,
    `SELECT t.name FROM unnest($1::text[], $2::regclass[]) t(name, oid) WHERE NOT EXISTS (
       SELECT FROM unnest($3::text[]) c(name) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = t.oid AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped))`,
    [names, names.map(quoteName), [...targetKey, ...match]],
  );
  return fit.map(({ name }) => name);
}

/**
 * True for a type, or a domain over one, whose order is made by operators outside pg_catalog: under the sessions'
 * search_path `>` would be that of a type it can be taken for. A citext in the order of its index would be compared as a text.
 */
function foreignOrder(type: string): string {
  return `EXISTS (
    WITH RECURSIVE b (oid) AS (SELECT ${type}
      UNION SELECT y.typbasetype FROM b JOIN pg_catalog.pg_type y ON y.oid = b.oid AND y.typtype = 'd')
    SELECT FROM b JOIN pg_catalog.pg_opclass c ON c.opcintype = b.oid AND c.opcdefault
    JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
    JOIN pg_catalog.pg_amop o ON o.amopfamily = c.opcfamily AND o.amoplefttype = b.oid AND o.amoprighttype = b.oid
    JOIN pg_catalog.pg_operator p ON p.oid = o.amopopr
    WHERE p.oprnamespace <> 'pg_catalog'::regnamespace)`;
}

/** @returns the first source whose relation this database has */
async function sourceFor(db: Queryable, migration: Migration): Promise<Source> {
  for (const source of migration.sources) {
    if (source.needs && !(await exists(db, quoteName(source.needs)))) continue;
    const follows = source.follows.map(async (follow) => ({
      ...follow,
      columns: [...follow.columns, ...(await columnsThere(db, follow.table, follow.optional))],
    }));
    return { ...source, follows: await Promise.all(follows) };
  }
  throw new GuardianError("source-missing", {
    what: `none of the sources of the data migration ${migration.name} is in this database`,
    where: migration.sources.map((source) => source.needs).join(", "),
    todo: "see the assessment: is this a v6 database?",
  });
}

async function columnsThere(db: Queryable, table: string, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const found = await rows<{ name: string }>(
    db,
    "SELECT attname AS name FROM pg_catalog.pg_attribute WHERE attrelid = $1::regclass AND attname = ANY ($2) AND NOT attisdropped ORDER BY 1",
    [quoteName(table), names],
  );
  return found.map((row) => row.name);
}

/** True if an index sees to it that no row of the target is there twice. */
export async function onceOnly(db: Queryable, it: Mapped): Promise<boolean> {
  const index = await first(
    db,
    `SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
       AND NOT EXISTS (SELECT FROM unnest(i.indkey[0:i.indnkeyatts - 1]) u(num)
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num AND a.attnotnull
         WHERE a.attname IS NULL OR a.attname <> ALL ($2))`,
    [quoteName(it.target), it.match],
  );
  return index !== undefined;
}

/**
 * The value of `$1`: what the operator chose, the time as of which rows are judged, and the source's constants.
 * @param asOf an ISO 8601 time
 */
export async function readConstants(db: Queryable, source: Source, asOf: string): Promise<object> {
  const constants = source.constants && (await first(db, source.constants.sql));
  return { asOf, ...constants };
}

/** The source of a migration as a subquery, with its keys bound: the rows that are to be moved. */
export function sourceIn(it: Mapped, range: Range): string {
  const { leftOut } = it.source;
  if (leftOut === undefined) return everyRow(it, range);
  // Of a bare IS NULL the server takes one row in 200 to be true; of a CASE it takes every second.
  const wanted = `CASE WHEN a.${escapeIdentifier(leftOut)} IS NULL THEN true ELSE false END`;
  return `(SELECT * FROM ${everyRow(it, range)} a WHERE ${wanted})`;
}

const everyRow = (it: Mapped, range: Range): string => `(\n${bind(it.source.sql, range)}\n)`;

/**
 * A subquery: one jsonb, reason → how many rows are left out for it; empty where there are none.
 */
export function leftOutIn(it: Mapped, range: Range): string {
  const { leftOut } = it.source;
  if (leftOut === undefined) return "('{}'::jsonb)";
  const reason = `a.${escapeIdentifier(leftOut)}`;
  return `(SELECT coalesce(pg_catalog.jsonb_object_agg(l.reason, l.n), '{}') FROM (
    SELECT ${reason} AS reason, count(*) AS n FROM ${everyRow(it, range)} a WHERE ${reason} IS NOT NULL GROUP BY 1) l)`;
}

/** The target's rows in the same range, as a condition on alias `t`. */
export function targetIn(it: Migration, alias: string, range: Range): string {
  return condition(under(alias, it.targetKey), range);
}

/** The condition that a row of the target, alias `t`, is the one that a source row, alias `s`, would become. */
export function matches(it: Migration, target = "t", source = "s"): string {
  return it.match
    .map((column) => `${target}.${escapeIdentifier(column)} = ${source}.${escapeIdentifier(column)}`)
    .join(" AND ");
}

/**
 * The condition on a source row, alias `s`, that neither the target nor the archive has the row that it would become.
 * @param look what bounds the look at them: the range that the source is bound by; the tables, where not all are there
 */
export function isAbsent(it: Mapped, look: { range?: Range; tables?: readonly string[] } = {}): string {
  const { range, tables = [it.target, ...it.waiting] } = look;
  const within = range ? ` AND ${targetIn(it, "p", range)}` : "";
  const absent = tables.map(
    (table) => `NOT EXISTS (SELECT FROM ${quoteName(table)} p WHERE ${matches(it, "p")}${within})`,
  );
  return absent.length > 0 ? absent.join(" AND ") : "true";
}

/** A row's hash over the columns that the migration writes: 64 bits, equal for equal values (pg_catalog.hash_record_extended). */
export function rowHash(it: Migration, alias: string): string {
  return `pg_catalog.hash_record_extended(ROW(${under(alias, it.columns).join(", ")}), 0)`;
}
