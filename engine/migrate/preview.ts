import { exists, first, quoteName, type Queryable } from "../base/sql";
import type { Migration } from "./definition/migration";
import { isAbsent, mapped, readConstants, sourceIn } from "./definition/source";

/** How many rows would be written now, and how many the source offers. */
export interface Planned {
  source: bigint;
  written: bigint;
}

/** Counts for the preview. Rows that wait in the archive come back before and win. Runs in a read-only transaction. */
export async function planMove(db: Queryable, migration: Migration, parameters: object): Promise<Planned> {
  const it = await mapped(db, migration);
  // In a preview the target is not there yet, where its module comes in the same run.
  const tables = (await exists(db, quoteName(it.target))) ? [it.target, ...it.waiting] : it.waiting;
  const absent = isAbsent(it, { tables });
  await db.query("SET LOCAL row_security = off");
  const constants = await readConstants(db, it.source, new Date().toISOString());
  const counted = await first<{ all: string; new: string }>(
    db,
    `SELECT count(*) AS all, count(*) FILTER (WHERE ${absent}) AS new
     FROM ${sourceIn(it, { kind: "all" })} s`,
    [JSON.stringify({ ...parameters, ...constants })],
  );
  return { source: BigInt(counted?.all ?? 0), written: BigInt(counted?.new ?? 0) };
}
