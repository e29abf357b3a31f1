import { escapeIdentifier } from "pg";
import { countBack, type Waiting } from "../../ledger/archived";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { foreignKeys, matches, reaches, type ForeignKey } from "./references";

/** What became of the rows of a slice. */
export interface Moved {
  /** Rows taken out of the archive. */
  taken: bigint;
  /** Rows that are in the table now. */
  restored: bigint;
}

/** A table that gets its rows back. */
interface Shape {
  table: string;
  archived: string;
  columns: Column[];
  keys: ForeignKey[];
  subject: string | null;
}

interface Column extends Record<string, unknown> {
  name: string;
  required: boolean;
  /** Its default as SQL, null for none. */
  otherwise: string | null;
  /** The type it has now, where the archive has another; without its length, or a cast would cut in silence. */
  cast: string | null;
}

/**
 * Moves a slice, up to `size` rows, from the archive into the table, in one statement: taken, put in or counted as beaten by a live
 * row or as left out. The table's user triggers are off for it: what they do for new rows was done when these were
 * new. Rows that refer to rows of their own table come after those.
 */
export async function moveSlice(db: Queryable, waiting: Waiting, size: number): Promise<Moved> {
  await db.query("SET LOCAL row_security = off");
  const [table, archived] = [quoteName(waiting.original), quoteName(waiting.archivedAs)];
  const [columns, keys] = [await commonColumns(db, table, archived), await foreignKeys(db, table)];
  const shape: Shape = { table, archived, columns, keys, subject: waiting.subject };
  return withoutTriggers(db, table, async () => {
    const free = await moveRows(db, waiting, shape, { size });
    if (free.taken > 0n || !keys.some((key) => key.self)) return free;
    // Every row that is left refers to another that is left. If some can never come back they are left out first, since
    // others may be free then; if none, the rows refer to each other in a circle, and come in one statement.
    const lost = await leaveOut(db, waiting, shape);
    return lost > 0n ? { taken: lost, restored: 0n } : moveRows(db, waiting, shape, { circle: true });
  });
}

async function moveRows(
  db: Queryable,
  waiting: Waiting,
  shape: Shape,
  which: { size: number } | { circle: true },
): Promise<Moved> {
  const { table, archived, columns, keys } = shape;
  const circle = "circle" in which;
  const self = keys.filter((key) => key.self);
  const free = self.map(
    (key) => `NOT EXISTS (SELECT FROM ${archived} p WHERE ${matches(key, "a", "p")} AND p.ctid <> a.ctid)`,
  );
  const pick = circle
    ? "SELECT a.ctid FROM pick_from a"
    : `SELECT a.ctid FROM pick_from a ${free.length > 0 ? `WHERE ${free.join(" AND ")}` : ""} LIMIT ${which.size}`;
  const list = columns.map((column) => escapeIdentifier(column.name)).join(", ");
  const there = (key: ForeignKey): string => reaches(key, circle && key.self ? archived : undefined);
  const kept = keys.filter((key) => !sets(shape, key)).map(there);
  const select = columns.map((column) => valueOf(shape, column, there));
  const counts = await first<{ taken: string; fit: string; put: string }>(
    db,
    `WITH m AS MATERIALIZED (
       DELETE FROM ${archived} WHERE ctid = ANY (ARRAY(${pick.replace("pick_from", archived)})) RETURNING *
     ), fit AS MATERIALIZED (
       SELECT ${select.join(", ")} FROM m ${kept.length > 0 ? `WHERE ${kept.join(" AND ")}` : ""}
     ), put AS (
       INSERT INTO ${table} (${list}) OVERRIDING SYSTEM VALUE SELECT * FROM fit ON CONFLICT DO NOTHING RETURNING 1
     )
     SELECT (SELECT count(*) FROM m) AS taken, (SELECT count(*) FROM fit) AS fit, (SELECT count(*) FROM put) AS put`,
  );
  const [taken, fit, put] = [BigInt(counts?.taken ?? 0), BigInt(counts?.fit ?? 0), BigInt(counts?.put ?? 0)];
  await countBack(db, waiting, { restored: put, beaten: fit - put, leftOut: taken - fit });
  return { taken, restored: put };
}

/** Takes rows out whose subject, or what they belong to outside their own table, was deleted since. */
async function leaveOut(db: Queryable, waiting: Waiting, shape: Shape): Promise<bigint> {
  const kept = shape.keys.filter((key) => !key.self && !sets(shape, key)).map((key) => reaches(key));
  if (kept.length === 0) return 0n;
  const gone = await first<{ n: string }>(
    db,
    `WITH gone AS (DELETE FROM ${shape.archived} m WHERE NOT (${kept.join(" AND ")}) RETURNING 1) SELECT count(*) AS n FROM gone`,
  );
  const n = BigInt(gone?.n ?? 0);
  await countBack(db, waiting, { restored: 0n, beaten: 0n, leftOut: n });
  return n;
}

/**
 * True if the key's ON DELETE empties columns, which a row that refers to what was deleted then gets. Not the subject's, nor
 * any that must not be NULL: such a row is left out.
 */
function sets(shape: Shape, key: ForeignKey): boolean {
  if (key.action !== "n" && key.action !== "d") return false;
  if (shape.subject !== null && key.columns.includes(shape.subject)) return false;
  return key.action === "d" || !shape.columns.some((column) => column.required && key.set.includes(column.name));
}

/** A column's value: what it was, unless it refers to what was deleted since. */
function valueOf(shape: Shape, column: Column, there: (key: ForeignKey) => string): string {
  const value = `m.${escapeIdentifier(column.name)}${column.cast === null ? "" : `::${column.cast}`}`;
  const setting = shape.keys.filter((key) => sets(shape, key) && key.set.includes(column.name));
  const cases = setting.map((key) => {
    const otherwise = key.action === "d" ? (column.otherwise ?? "NULL") : "NULL";
    return `WHEN NOT ${there(key)} THEN ${otherwise}`;
  });
  return cases.length === 0 ? value : `CASE ${cases.join(" ")} ELSE ${value} END`;
}

async function commonColumns(db: Queryable, table: string, archived: string): Promise<Column[]> {
  return rows<Column>(
    db,
    `SELECT l.attname AS name, l.attnotnull AS required, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS otherwise,
            CASE WHEN l.atttypid <> a.atttypid THEN pg_catalog.format_type(l.atttypid, -1) END AS cast
     FROM pg_catalog.pg_attribute l JOIN pg_catalog.pg_attribute a ON a.attname = l.attname
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = l.attrelid AND d.adnum = l.attnum
     WHERE l.attrelid = $1::regclass AND a.attrelid = $2::regclass AND l.attnum > 0 AND a.attnum > 0
       AND NOT l.attisdropped AND NOT a.attisdropped AND l.attgenerated = '' ORDER BY l.attnum`,
    [table, archived],
  );
}

/** Runs work while the user triggers of a table of ours are off, inside the transaction only. */
async function withoutTriggers<T>(db: Queryable, table: string, work: () => Promise<T>): Promise<T> {
  const triggers = await rows<{ name: string; state: string }>(
    db,
    "SELECT tgname AS name, tgenabled AS state FROM pg_catalog.pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgenabled <> 'D'",
    [table],
  );
  const change = (how: (state: string) => string): string =>
    triggers.map(({ name, state }) => `${how(state)} TRIGGER ${escapeIdentifier(name)}`).join(", ");
  if (triggers.length > 0) await db.query(`ALTER TABLE ${table} ${change(() => "DISABLE")}`);
  const result = await work();
  const states: Record<string, string> = { A: "ENABLE ALWAYS", R: "ENABLE REPLICA" };
  if (triggers.length > 0) await db.query(`ALTER TABLE ${table} ${change((state) => states[state] ?? "ENABLE")}`);
  return result;
}
