import { GuardianError } from "../errors";
import { ledgerSchema } from "../ledger/schema";
import { quoteName, rows, type Queryable } from "../sql";

/** A table that waits in the archive. */
export interface Waiting {
  applyId: string;
  original: string;
  archivedAs: string;
  subject: string | null;
  /** Rows when it was archived. */
  rows: string;
  /** Rows of which it is known what became of them. */
  accounted: string;
}

/**
 * @param originals tables, in the order in which their rows are wanted
 * @returns the archived tables that have not come back yet; of several of one original the newest first, since its rows
 *   are the later ones, and win
 */
export async function waitingFor(db: Queryable, originals: readonly string[]): Promise<Waiting[]> {
  return rows<Waiting & Record<string, unknown>>(
    db,
    `SELECT apply_id AS "applyId", original, archived_as AS "archivedAs", subject, rows,
            restored + beaten + left_out AS accounted FROM ${ledgerSchema}.archived
     WHERE original = ANY ($1) AND restored_at IS NULL ORDER BY pg_catalog.array_position($1, original), apply_id DESC`,
    [originals],
  );
}

/**
 * The order in which tables get their rows back: one whose rows refer to another's comes after it, or they would be taken
 * for rows whose other end was deleted.
 * @throws GuardianError for tables that refer to each other in a circle: their rows stay in the archive
 */
export async function restoreOrder(db: Queryable, tables: readonly string[]): Promise<string[]> {
  const keys = await rows<{ from: string; to: string }>(
    db,
    `SELECT DISTINCT f.name AS from, t.name AS to
     FROM unnest($1::text[], $2::regclass[]) f(name, oid)
     JOIN pg_catalog.pg_constraint k ON k.contype = 'f' AND k.conrelid = f.oid
     JOIN unnest($1::text[], $2::regclass[]) t(name, oid) ON t.oid = k.confrelid AND t.oid <> f.oid`,
    [tables, tables.map(quoteName)],
  );
  const order: string[] = [];
  while (order.length < tables.length) {
    const open = (name: string): boolean => keys.some((key) => key.from === name && !order.includes(key.to));
    const next = tables.find((name) => !order.includes(name) && !open(name));
    if (next === undefined) {
      throw new GuardianError({
        what: "archived tables refer to each other in a circle, and cannot be brought back one after the other",
        where: tables.filter((name) => !order.includes(name)).join(", "),
        todo: "take one of the foreign keys out of the module; the rows wait in the archive",
      });
    }
    order.push(next);
  }
  return order;
}
