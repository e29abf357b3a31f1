import { escapeIdentifier } from "pg";
import { countBack, type Waiting } from "../../ledger/archived";
import { isRejected } from "../../ledger/rejects";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { readAs } from "./casts";
import { takeBeaten, uniqueKeys, type UniqueKeys } from "./collisions";
import { narrowerColumns, noteChanged, type Narrower } from "./narrower";
import { foreignKeys, matches, reaches, type ForeignKey } from "./references";
import { blameCircle, halving, namedRows, noteOwnReferring, type Named } from "./refused";

/** What became of the rows of a slice. */
export interface Moved {
  /** Rows taken out of the archive. */
  taken: bigint;
  /** Rows that are in the table now. */
  restored: bigint;
  /** Rows that stay in the archive, and are noted. */
  refused: number;
}

/** How the rows of one table come back. */
export interface Way {
  /** Triggers that stay on. */
  checks: readonly string[];
  /** How many rows are noted as refused by now: those are passed over. */
  refused: number;
}

/** A table that gets its rows back. */
interface Shape extends Named {
  table: string;
  columns: Column[];
  keys: ForeignKey[];
  subject: string | null;
  unique: UniqueKeys;
  narrower: Narrower[];
  /** Conditions on alias `a` that a row may be tried: none refused it yet. */
  open: string[];
}

interface Column {
  name: string;
  required: boolean;
  /** Its default as SQL, null for none. */
  otherwise: string | null;
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
 * Moves a slice, up to `size` rows, from the archive into the table, in one statement: taken, put in or counted as beaten by a live
 * row or as left out. The table's user triggers are off for it, those that only check aside: what they do for new rows was done
 * when these were new. Rows that refer to rows of their own table come after those.
 */
export async function moveSlice(db: Queryable, waiting: Waiting, size: number, way: Way): Promise<Moved> {
  return inShape(db, waiting, way, async (shape) => {
    const free = await moveRows(db, waiting, shape, { size });
    if (free.taken > 0n || free.refused > 0 || !shape.keys.some((key) => key.self)) return free;
    const refused = way.refused > 0 ? await noteOwnReferring(db, shape, shape.keys) : 0;
    if (refused > 0) return { taken: 0n, restored: 0n, refused };
    // Every row that is left refers to another that is left. If some can never come back they are left out first, since
    // others may be free then; if none, the rows refer to each other in a circle, and come in one statement.
    const lost = await leaveOut(db, waiting, shape);
    return lost > 0n ? { taken: lost, restored: 0n, refused: 0 } : moveRows(db, waiting, shape, { circle: true });
  });
}

/** The same after a row was at fault, in one transaction: rows that are refused are noted, the others of up to `size` come. */
export async function moveSingly(db: Queryable, waiting: Waiting, size: number, way: Way): Promise<Moved> {
  return inShape(db, waiting, way, async (shape) => {
    const moved: Moved = { taken: 0n, restored: 0n, refused: 0 };
    const ctids = await places(db, shape, [...shape.open, ...unreferring(shape)], size);
    if (ctids.length === 0) {
      const circle = await places(db, shape, shape.open);
      moved.refused = await blameCircle(db, shape, circle, async (some) => {
        await moveRows(db, waiting, shape, { ctids: some, circle: true });
      });
      return moved;
    }
    const atFault = await halving(db, shape, ctids, async (some) => {
      const { taken, restored, refused } = await moveRows(db, waiting, shape, { ctids: some });
      return () => {
        moved.taken += taken;
        moved.restored += restored;
        moved.refused += refused;
      };
    });
    moved.refused += atFault;
    return moved;
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
  const unique = await uniqueKeys(db, table, named.archived, altered);
  const shape: Shape = { ...being, unique, narrower: await narrowerColumns(db, table, named.archived) };
  return withoutTriggers(db, table, checks, () => work(shape));
}

/** Conditions on alias `a` that a row refers to no other of its table that is still in the archive. */
const unreferring = ({ archived, keys }: Shape): string[] =>
  keys
    .filter((key) => key.self)
    .map((key) => `NOT EXISTS (SELECT FROM ${archived} p WHERE ${matches(key, "a", "p")} AND p.ctid <> a.ctid)`);

/** SELECT of so many archived rows, or all, for which conditions on alias `a` hold. */
function picking(what: string, { archived }: Shape, conditions: readonly string[], size?: number): string {
  const where = conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : "";
  return `SELECT ${what} FROM ${archived} a ${where} ${size === undefined ? "" : `LIMIT ${size}`}`;
}

async function places(
  db: Queryable,
  shape: Shape,
  conditions: readonly string[],
  size?: number,
  values: unknown[] = [],
): Promise<string[]> {
  const found = await rows<{ at: string }>(db, picking("a.ctid::text AS at", shape, conditions, size), values);
  return found.map(({ at }) => at);
}

async function moveRows(db: Queryable, waiting: Waiting, shape: Shape, which: Which): Promise<Moved> {
  const { table, archived, columns, keys, open, unique } = shape;
  const { size, circle = false } = which;
  const conditions = [...open, ...(circle || which.ctids ? [] : unreferring(shape))];
  // What the rows' own statement would not tell of them is found before: whose values it would change, who is beaten.
  const apart = unique.fresh || shape.narrower.length > 0;
  let ctids = which.ctids ?? (apart ? await places(db, shape, conditions, size) : undefined);
  const refused = ctids ? await noteChanged(db, shape, ctids) : 0;
  // Rows of a circle come together, or wait for each other.
  if (refused > 0 && circle) return { taken: 0n, restored: 0n, refused };
  if (ctids && refused > 0) {
    const fit = ["a.ctid = ANY ($1::tid[])", `NOT ${isRejected(shape.urn, shape.key("a"))}`];
    ctids = await places(db, shape, fit, undefined, [ctids]);
  }
  const lost = ctids && unique.fresh ? await takeBeaten(db, shape, ctids) : 0n;
  const pick = ctids ? "$1::tid[]" : `ARRAY(${picking("a.ctid", shape, conditions, size)})`;
  const list = columns.map((column) => escapeIdentifier(column.name)).join(", ");
  const there = (key: ForeignKey): string => reaches(key, circle && key.self ? archived : undefined);
  const kept = keys.filter((key) => !sets(shape, key)).map(there);
  const select = columns.map((column) => valueOf(shape, column, there));
  const counts = await first<{ taken: string; fit: string; put: string }>(
    db,
    `WITH m AS MATERIALIZED (
       DELETE FROM ${archived} WHERE ctid = ANY (${pick}) RETURNING *
     ), fit AS MATERIALIZED (
       SELECT ${select.join(", ")} FROM m ${kept.length > 0 ? `WHERE ${kept.join(" AND ")}` : ""}
     ), put AS (
       INSERT INTO ${table} (${list}) OVERRIDING SYSTEM VALUE SELECT * FROM fit ${unique.fresh ? "" : "ON CONFLICT DO NOTHING"} RETURNING 1
     )
     SELECT (SELECT count(*) FROM m) AS taken, (SELECT count(*) FROM fit) AS fit, (SELECT count(*) FROM put) AS put`,
    ctids ? [ctids] : [],
  );
  const [taken, fit, put] = [BigInt(counts?.taken ?? 0), BigInt(counts?.fit ?? 0), BigInt(counts?.put ?? 0)];
  await countBack(db, waiting, { restored: put, beaten: lost + fit - put, leftOut: taken - fit });
  return { taken: lost + taken, restored: put, refused };
}

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
            pg_catalog.format_type(a.atttypid, -1) AS was,
            CASE WHEN l.atttypid <> a.atttypid THEN pg_catalog.format_type(l.atttypid, -1) END AS cast
     FROM pg_catalog.pg_attribute l JOIN pg_catalog.pg_attribute a ON a.attname = l.attname
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = l.attrelid AND d.adnum = l.attnum
     WHERE l.attrelid = $1::regclass AND a.attrelid = $2::regclass AND l.attnum > 0 AND a.attnum > 0
       AND NOT l.attisdropped AND NOT a.attisdropped AND l.attgenerated = '' ORDER BY l.attnum`,
    [table, archived],
  );
  const columns: Column[] = [];
  for (const { was, cast, name, required, otherwise } of common) {
    const stored = `m.${escapeIdentifier(name)}`;
    const value = cast === null ? stored : await readAs(db, stored, was, cast);
    columns.push({ name, required, otherwise, value });
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
