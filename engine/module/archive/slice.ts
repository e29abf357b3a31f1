import { escapeIdentifier } from "pg";
import { countBack, type Waiting } from "../../ledger/archived";
import { isRejected } from "../../ledger/rejects";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { readAs } from "./casts";
import { settle, sharedKeys, type Meeting } from "./collisions";
import { isTimed, unchosen } from "./defaults";
import { narrowerColumns, noteChanged, type Narrower } from "./narrower";
import { foreignKeys, isLive, matches, reaches, type ForeignKey } from "./references";
import { blameCircle, halving, namedRows, noteOwnReferring } from "./refused";

/** What became of the rows of a slice. */
export interface Moved {
  /** Rows that are in the table now. */
  restored: bigint;
  /** Rows that went because a live row says the same. */
  beaten: bigint;
  /** Rows whose subject, or what they belong to, was deleted since. */
  leftOut: bigint;
  /** Rows that stay in the archive, and are noted. */
  refused: number;
}

/** Nothing became of any row. */
export const none: Moved = { restored: 0n, beaten: 0n, leftOut: 0n, refused: 0 };

/** @returns how many rows are not in the archive any more */
export const taken = ({ restored, beaten, leftOut }: Moved): bigint => restored + beaten + leftOut;

/** @returns both together */
export const sum = (one: Moved, other: Moved): Moved => ({
  restored: one.restored + other.restored,
  beaten: one.beaten + other.beaten,
  leftOut: one.leftOut + other.leftOut,
  refused: one.refused + other.refused,
});

/** How many bytes of values a slice has, as they are stored; one row may have more. */
const sliceBytes = 8 * 1024 * 1024;
/** How many times as much a compressed value counts, since its CHECKs read it whole: how long it is then, only reading it tells. */
const compressedTimes = 8;

/** How the rows of one table come back. */
export interface Way {
  /** Triggers that stay on. */
  checks: readonly string[];
  /** How many rows are noted as refused by now: those are passed over. */
  refused: number;
}

/** A table that gets its rows back. */
interface Shape extends Meeting {
  columns: Column[];
  keys: ForeignKey[];
  subject: string | null;
  narrower: Narrower[];
  /** Conditions on alias `a` that a row may be tried: none refused it yet. */
  open: string[];
}

interface Column {
  name: string;
  required: boolean;
  /** Its default as SQL, null for none. */
  otherwise: string | null;
  /** Whether its default is the time of writing. */
  timed: boolean;
  /** Whether archived values have no fixed length. */
  varying: boolean;
  /** SQL of an archived value. */
  value: string;
}

/** Which rows are moved: so many, those at some places, or all that are left, which refer to each other in a circle. */
interface Which {
  size?: number;
  ctids?: readonly string[];
  circle?: boolean;
}

/**
 * Moves a slice, up to `size` rows and a bound of bytes, from the archive into the table: put in, or counted as beaten by a live row that says the same or
 * as left out, or noted. The table's user triggers are off for it, those that only check aside: what they do for new rows was done
 * when these were new. Rows that refer to rows of their own table come after those.
 */
export async function moveSlice(db: Queryable, waiting: Waiting, size: number, way: Way): Promise<Moved> {
  return inShape(db, waiting, way, async (shape) => {
    const free = await moveRows(db, waiting, shape, { size });
    if (taken(free) > 0n || free.refused > 0 || !shape.keys.some((key) => key.self)) return free;
    const refused = way.refused > 0 ? await noteOwnReferring(db, shape, shape.keys) : 0;
    if (refused > 0) return { ...none, refused };
    // Every row that is left refers to another that is left. If some can never come back they are left out first, since
    // others may be free then; if none, the rows refer to each other in a circle, and come in one statement.
    const lost = await leaveOut(db, waiting, shape);
    return lost > 0n ? { ...none, leftOut: lost } : moveRows(db, waiting, shape, { circle: true });
  });
}

/** The same after a row was at fault, in one transaction: rows that are refused are noted, the others of up to `size` come. */
export async function moveSingly(db: Queryable, waiting: Waiting, size: number, way: Way): Promise<Moved> {
  return inShape(db, waiting, way, async (shape) => {
    let moved = none;
    const ctids = await places(db, shape, [...shape.open, ...unreferring(shape)], size);
    if (ctids.length === 0) {
      const circle = await places(db, shape, shape.open);
      const refused = await blameCircle(db, shape, circle, async (some) => {
        await moveRows(db, waiting, shape, { ctids: some, circle: true });
      });
      return { ...none, refused };
    }
    const refused = await halving(db, shape, ctids, async (some) => {
      const more = await moveRows(db, waiting, shape, { ctids: some });
      return () => {
        moved = sum(moved, more);
      };
    });
    return sum(moved, { ...none, refused });
  });
}

async function inShape<T>(
  db: Queryable,
  waiting: Waiting,
  { checks, refused }: Way,
  work: (shape: Shape) => Promise<T>,
): Promise<T> {
  await db.query("SET LOCAL row_security = off");
  const table = quoteName(waiting.original);
  const named = await namedRows(db, waiting);
  const [columns, keys] = [
    await commonColumns(db, table, named.archived),
    await foreignKeys(db, table, named.archived),
  ];
  const open = refused > 0 ? [`NOT ${isRejected(named.urn, named.key("a"))}`] : [];
  const being = { ...named, table, columns, keys, subject: waiting.subject, open };
  const altered = keys.filter((key) => sets(being, key)).flatMap((key) => key.set);
  const shared = await sharedKeys(db, table, named.archived, altered);
  const compared = columns.flatMap(({ name, value, timed }) =>
    timed ? [] : [{ live: `l.${escapeIdentifier(name)}`, value }],
  );
  const narrower = await narrowerColumns(db, table, named.archived);
  const shape: Shape = { ...being, shared, compared, unchosen: await unchosen(db, table), narrower };
  return withoutTriggers(db, table, checks, () => work(shape));
}

/** Conditions on alias `a` that a row refers to no other of its table that is still in the archive, unless a live one stands for it. */
const unreferring = ({ archived, keys, open }: Shape): string[] =>
  keys
    .filter((key) => key.self)
    .map((key) => {
      const stands = open.length > 0 ? `AND NOT ${isLive(key, "p")}` : "";
      return `NOT EXISTS (SELECT FROM ${archived} p WHERE ${matches(key, "a", "p")} AND p.ctid <> a.ctid ${stands})`;
    });

/** SELECT of so many archived rows, or all, for which conditions on alias `a` hold. */
function picking(what: string, { archived }: Shape, conditions: readonly string[], size?: number): string {
  const where = conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
  return `SELECT ${what} FROM ${archived} a ${where} ${size === undefined ? "" : `LIMIT ${size}`}`;
}

/**
 * @param size how many at most; then only so many as have few bytes together, too. The size of a column is told without reading
 *   a value that is stored apart (PostgreSQL manual, 9.28); a whole row's would read it.
 */
async function places(
  db: Queryable,
  shape: Shape,
  conditions: readonly string[],
  size?: number,
  values: unknown[] = [],
): Promise<string[]> {
  const varying = size === undefined ? [] : shape.columns.filter((column) => column.varying);
  const sizes = varying.map(({ name }) => {
    const value = `a.${escapeIdentifier(name)}`;
    return `coalesce(pg_column_size(${value})::int8 * CASE WHEN pg_column_compression(${value}) IS NULL THEN 1 ELSE ${compressedTimes} END, 0)`;
  });
  const what = `a.ctid::text AS at, (${["0", ...sizes].join(" + ")})::float8 AS bytes`;
  const found = await rows<{ at: string; bytes: number }>(db, picking(what, shape, conditions, size), values);
  let bytes = 0;
  const end = found.findIndex((row, i) => (bytes += row.bytes) > sliceBytes && i > 0);
  return (end < 0 ? found : found.slice(0, end)).map(({ at }) => at);
}

async function moveRows(db: Queryable, waiting: Waiting, shape: Shape, which: Which): Promise<Moved> {
  const { table, archived, columns, keys, open } = shape;
  const { size, circle = false } = which;
  const conditions = [...open, ...(circle || which.ctids ? [] : unreferring(shape))];
  // What the rows' own statement would not tell of them is found before: whose values it would change, who meets a live row.
  const found = which.ctids ?? (await places(db, shape, conditions, size));
  const changed = await noteChanged(db, shape, found);
  const { beaten, noted } = await settle(db, shape, changed > 0 ? await unnoted(db, shape, found) : found);
  const refused = changed + noted;
  // Rows of a circle come together, or wait for each other.
  const waits = refused > 0 && circle;
  const ctids = waits ? [] : refused > 0 ? await unnoted(db, shape, found) : found;
  const list = columns.map((column) => escapeIdentifier(column.name)).join(", ");
  const there = (key: ForeignKey): string => reaches(key, circle && key.self ? archived : undefined);
  const kept = keys.filter((key) => !sets(shape, key)).map(there);
  const select = columns.map((column) => valueOf(shape, column, there));
  const counts = await first<{ gone: string; put: string }>(
    db,
    `WITH m AS MATERIALIZED (
       DELETE FROM ${archived} WHERE ctid = ANY ($1::tid[]) RETURNING *
     ), put AS (
       INSERT INTO ${table} (${list}) OVERRIDING SYSTEM VALUE
       SELECT ${select.join(", ")} FROM m ${kept.length > 0 ? `WHERE ${kept.join(" AND ")}` : ""} RETURNING 1
     )
     SELECT (SELECT count(*) FROM m) AS gone, (SELECT count(*) FROM put) AS put`,
    [ctids],
  );
  const [gone, restored] = [BigInt(counts?.gone ?? 0), BigInt(counts?.put ?? 0)];
  const back = { restored, beaten, leftOut: gone - restored };
  await countBack(db, waiting, back);
  return { ...back, refused };
}

/** Those of some rows that are not noted. */
const unnoted = (db: Queryable, shape: Shape, ctids: readonly string[]): Promise<string[]> =>
  places(db, shape, ["a.ctid = ANY ($1::tid[])", `NOT ${isRejected(shape.urn, shape.key("a"))}`], undefined, [ctids]);

/** Takes rows out whose subject, or what they belong to outside their own table, was deleted since. */
async function leaveOut(db: Queryable, waiting: Waiting, shape: Shape): Promise<bigint> {
  const kept = shape.keys.filter((key) => !key.self && !sets(shape, key)).map((key) => reaches(key));
  if (kept.length === 0) return 0n;
  const gone = await first<{ n: string }>(
    db,
    `WITH gone AS (DELETE FROM ${shape.archived} a USING ${shape.archived} m
       WHERE m.ctid = a.ctid AND ${["true", ...shape.open].join(" AND ")} AND NOT (${kept.join(" AND ")}) RETURNING 1)
     SELECT count(*) AS n FROM gone`,
  );
  const n = BigInt(gone?.n ?? 0);
  await countBack(db, waiting, { restored: 0n, beaten: 0n, leftOut: n });
  return n;
}

/**
 * True if the key's ON DELETE empties columns, which a row that refers to what was deleted then gets. Not the subject's, nor
 * any that must not be NULL: such a row is left out.
 */
function sets(shape: Pick<Shape, "subject" | "columns">, key: ForeignKey): boolean {
  if (key.action !== "n" && key.action !== "d") return false;
  if (shape.subject !== null && key.columns.includes(shape.subject)) return false;
  return key.action === "d" || !shape.columns.some((column) => column.required && key.set.includes(column.name));
}

/** A column's value: what it was, unless it refers to what was deleted since. */
function valueOf(shape: Shape, column: Column, there: (key: ForeignKey) => string): string {
  const { value } = column;
  const setting = shape.keys.filter((key) => sets(shape, key) && key.set.includes(column.name));
  const cases = setting.map((key) => {
    const otherwise = key.action === "d" ? (column.otherwise ?? "NULL") : "NULL";
    return `WHEN NOT ${there(key)} THEN ${otherwise}`;
  });
  return cases.length === 0 ? value : `CASE ${cases.join(" ")} ELSE ${value} END`;
}

/**
 * Where a column has another type now, a value is read as that, without its length, or the cast would cut in silence. Rows of
 * which a value is changed all the same are noted before (narrower.ts).
 */
async function commonColumns(db: Queryable, table: string, archived: string): Promise<Column[]> {
  const common = await rows<Omit<Column, "value"> & { was: string; cast: string | null }>(
    db,
    `SELECT l.attname AS name, l.attnotnull AS required, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS otherwise,
            ${isTimed} AS timed, a.attlen < 0 AS varying, pg_catalog.format_type(a.atttypid, -1) AS was,
            CASE WHEN l.atttypid <> a.atttypid THEN pg_catalog.format_type(l.atttypid, -1) END AS cast
     FROM pg_catalog.pg_attribute l JOIN pg_catalog.pg_attribute a ON a.attname = l.attname
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = l.attrelid AND d.adnum = l.attnum
     WHERE l.attrelid = $1::regclass AND a.attrelid = $2::regclass AND l.attnum > 0 AND a.attnum > 0
       AND NOT l.attisdropped AND NOT a.attisdropped AND l.attgenerated = '' ORDER BY l.attnum`,
    [table, archived],
  );
  const columns: Column[] = [];
  for (const { was, cast, ...column } of common) {
    const stored = `m.${escapeIdentifier(column.name)}`;
    columns.push({ ...column, value: cast === null ? stored : await readAs(db, stored, was, cast) });
  }
  return columns;
}

/** Runs work while the user triggers of a table of ours are off, but for some, inside the transaction only. */
async function withoutTriggers<T>(
  db: Queryable,
  table: string,
  but: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const triggers = await rows<{ name: string; state: string }>(
    db,
    "SELECT tgname AS name, tgenabled AS state FROM pg_catalog.pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgenabled <> 'D' AND tgname <> ALL ($2)",
    [table, but],
  );
  const change = (how: (state: string) => string): string =>
    triggers.map(({ name, state }) => `${how(state)} TRIGGER ${escapeIdentifier(name)}`).join(", ");
  if (triggers.length > 0) await db.query(`ALTER TABLE ${table} ${change(() => "DISABLE")}`);
  const result = await work();
  const states: Record<string, string> = { A: "ENABLE ALWAYS", R: "ENABLE REPLICA" };
  if (triggers.length > 0) await db.query(`ALTER TABLE ${table} ${change((state) => states[state] ?? "ENABLE")}`);
  return result;
}
