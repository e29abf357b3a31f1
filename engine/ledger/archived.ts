import { rows, type Askable, type Queryable } from "../base/sql";
import { archiveSchema, ledgerTable, ledgerTableNames } from "./schema";
import { stepTable } from "./steps";

const table = ledgerTable("archived");

/** A table that a rollback took away. */
export interface Archived {
  applyId: string;
  original: string;
  archivedAs: string;
  /** The column that says whose a row is. */
  subject: string | null;
  /** Rows when it was archived; an estimate until they are counted (module/archive/counted.ts). */
  rows: string;
}

/** A table that waits in the archive. */
export interface Waiting extends Archived {
  /** Rows of which it is known what became of them. */
  accounted: string;
  /** False for a table that somebody dropped when all its rows were back: only the ledger's row is left to be closed. */
  there: boolean;
}

/** SQL: whether the table that a row of `archived` names is there. */
const isThere = `pg_catalog.to_regclass('${archiveSchema}.' || pg_catalog.quote_ident(
  pg_catalog.substr(archived_as, ${archiveSchema.length + 2}))) IS NOT NULL`;

const columns = `apply_id AS "applyId", original, archived_as AS "archivedAs", subject, rows`;

/**
 * @param originals tables, in the order in which their rows are wanted; all where it is not said
 * @returns the archived tables that have not come back yet; of several of one original the newest first
 */
export async function readWaiting(db: Askable, originals?: readonly string[]): Promise<Waiting[]> {
  return rows<Waiting & Record<string, unknown>>(
    db,
    `SELECT ${columns}, restored + beaten + left_out AS accounted, ${isThere} AS there FROM ${table}
     WHERE restored_at IS NULL AND ($1::text[] IS NULL OR original = ANY ($1))
     ORDER BY pg_catalog.array_position($1, original), apply_id DESC`,
    [originals ?? null],
  );
}

/** @returns the ledger's tables, and those that it says wait in the archive; whether they are there is not asked */
export async function ownTables(db: Queryable): Promise<string[]> {
  const waiting = await readWaiting(db);
  return [...waiting.map(({ archivedAs }) => archivedAs), ...ledgerTableNames.map(ledgerTable)];
}

/** An archived table that somebody dropped by hand, with rows in it as far as the ledger knows. */
export interface Lost {
  applyId: string;
  original: string;
  archivedAs: string;
  /** Rows that never came back. Accounts that were deleted meanwhile took theirs along, so it is a most. */
  rows: string;
  /** When it was archived, by the server's clock. */
  archivedAt: string;
}

/** @returns the archived tables that are gone and had rows, of these originals or of all */
export async function lostTables(db: Queryable, originals?: readonly string[]): Promise<Lost[]> {
  return rows<Lost & Record<string, unknown>>(
    db,
    `SELECT apply_id AS "applyId", original, archived_as AS "archivedAs", rows - restored - beaten - left_out AS rows,
            pg_catalog.date_trunc('second', archived_at)::text AS "archivedAt"
     FROM ${table}
     WHERE restored_at IS NULL AND rows > restored + beaten + left_out AND NOT ${isThere}
       AND ($1::text[] IS NULL OR original = ANY ($1)) ORDER BY original, apply_id`,
    [originals ?? null],
  );
}

/** Notes a table that a rollback takes away. */
export async function addArchived(db: Queryable, of: Archived): Promise<void> {
  await db.query(`INSERT INTO ${table} (apply_id, original, archived_as, subject, rows) VALUES ($1, $2, $3, $4, $5)`, [
    of.applyId,
    of.original,
    of.archivedAs,
    of.subject,
    of.rows,
  ]);
}

/** An archived table whose rows the ledger has an estimate of, until they are counted. */
export interface Uncounted extends Pick<Archived, "applyId" | "original" | "archivedAs"> {
  there: boolean;
}

/** SQL: whether a step says of an application that its rows are still to be counted. @param applyId SQL for its number */
const saysUncounted = (applyId: string): string =>
  `s.physical_id = ${applyId}::text AND s.state = 'undone' AND s.detail @> '{"uncounted": true}'`;

/** @returns archived tables whose rows are still to be counted */
export async function readUncounted(db: Queryable): Promise<Uncounted[]> {
  return rows<Uncounted & Record<string, unknown>>(
    db,
    `SELECT apply_id AS "applyId", original, archived_as AS "archivedAs", ${isThere} AS there FROM ${table} a
     WHERE restored_at IS NULL AND EXISTS (SELECT FROM ${stepTable} s WHERE ${saysUncounted("a.apply_id")})`,
  );
}

/** Notes how many rows an archived table has, of which none came back yet. */
export async function setCounted(db: Queryable, which: Which, n: bigint): Promise<void> {
  await db.query(`UPDATE ${table} SET rows = $3 WHERE apply_id = $1 AND original = $2`, [
    which.applyId,
    which.original,
    n.toString(),
  ]);
}

/** Says that an application's archived tables are counted. */
export async function endUncounted(db: Queryable, applyId: string): Promise<void> {
  await db.query(`UPDATE ${stepTable} s SET detail = detail - 'uncounted' WHERE ${saysUncounted("$1")}`, [applyId]);
}

/** Which archived table is meant. */
type Which = Pick<Archived, "applyId" | "original">;

/** Notes what became of more of a table's rows. */
export async function countBack(
  db: Queryable,
  which: Which,
  of: { restored: bigint; beaten: bigint; leftOut: bigint },
): Promise<void> {
  await db.query(
    `UPDATE ${table} SET restored = restored + $3, beaten = beaten + $4, left_out = left_out + $5
     WHERE apply_id = $1 AND original = $2`,
    [which.applyId, which.original, of.restored.toString(), of.beaten.toString(), of.leftOut.toString()],
  );
}

/** Says that nothing of an archived table waits any more: what neither came back nor was beaten was left out. */
export async function closeArchived(db: Queryable, which: Which): Promise<void> {
  await db.query(
    `UPDATE ${table} SET left_out = rows - restored - beaten, restored_at = pg_catalog.clock_timestamp()
     WHERE apply_id = $1 AND original = $2`,
    [which.applyId, which.original],
  );
}

/** SQL: the table that an archived one was. @param archivedAs SQL for its name in the archive */
export const originalOf = (archivedAs: string): string =>
  `(SELECT original FROM ${table} a WHERE a.archived_as = ${archivedAs})`;
