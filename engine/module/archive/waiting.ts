import { GuardianError } from "../../base/errors";
import { readWaiting, type Waiting } from "../../ledger/archived";
import { quoteName, rows, type Queryable } from "../../base/sql";
import { refuseLost } from "./lost";
import { present } from "../present";

/**
 * @param originals tables, in the order in which their rows are wanted
 * @returns the archived tables that have not come back yet; of several of one original the newest first, since its rows
 *   are the later ones, and win
 * @throws GuardianError if one that has rows was dropped by hand
 */
export async function waitingFor(db: Queryable, originals: readonly string[]): Promise<Waiting[]> {
  const waiting = await readWaiting(db, originals);
  await refuseLost(db, originals);
  return waiting;
}

/**
 * The order in which tables get their rows back: one whose rows refer to another's comes after it, or they would be taken
 * for rows whose other end was deleted.
 * @throws GuardianError for tables that refer to each other in a circle, or that were dropped by hand since: their rows
 *   stay in the archive
 */
export async function restoreOrder(db: Queryable, tables: readonly string[]): Promise<string[]> {
  await refuseDropped(db, tables);
  const { order, circular } = await parentsFirst(db, tables);
  if (circular.length === 0) return order;
  throw new GuardianError("archive-circular", {
    what: "archived tables refer to each other in a circle, and cannot be brought back one after the other",
    where: circular.join(", "),
    todo: "take one of the foreign keys out of the module; the rows wait in the archive",
  });
}

/** @returns tables that are there, each after those that it refers to; apart those that this cannot be done for */
export async function parentsFirst(
  db: Queryable,
  tables: readonly string[],
): Promise<{ order: string[]; circular: string[] }> {
  const keys = await rows<{ from: string; to: string }>(
    db,
    `SELECT DISTINCT f.name AS from, t.name AS to
     FROM unnest($1::text[], $2::regclass[]) f(name, oid)
     JOIN pg_catalog.pg_constraint k ON k.contype = 'f' AND k.conrelid = f.oid
     JOIN unnest($1::text[], $2::regclass[]) t(name, oid) ON t.oid = k.confrelid AND t.oid <> f.oid`,
    [tables, tables.map(quoteName)],
  );
  const order: string[] = [];
  for (;;) {
    const open = (name: string): boolean => keys.some((key) => key.from === name && !order.includes(key.to));
    const next = tables.find((name) => !order.includes(name) && !open(name));
    if (next === undefined) return { order, circular: tables.filter((name) => !order.includes(name)) };
    order.push(next);
  }
}

/** @throws GuardianError naming the module's tables that somebody dropped: the rows have no place to come back to */
async function refuseDropped(db: Queryable, tables: readonly string[]): Promise<void> {
  const there = await present(db, tables);
  const gone = tables.filter((name) => !there.includes(name));
  if (gone.length === 0) return;
  throw new GuardianError("table-dropped", {
    what: "tables of this module were dropped by hand before their archived rows were back; these wait in the archive",
    where: gone.join(", "),
    todo: "roll the module back and apply it again: set guardian:through to a stage before it and up, then set it back and up",
  });
}
