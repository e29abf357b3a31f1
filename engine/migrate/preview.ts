import { exists, first, quoteName, type Queryable } from "../base/sql";
import type { Migration } from "./definition/migration";
import { isAbsent, leftOutIn, mapped, readConstants, sourceIn } from "./definition/source";

/** How many rows would be written now, and how many the source offers. */
export interface Planned {
  source: bigint;
  written: bigint;
  /** Rows that the source leaves out on purpose, by reason. */
  leftOut: Record<string, number>;
}

/** Counts for the preview. Rows that wait in the archive come back before and win. Runs in a read-only transaction. */
export async function planMove(db: Queryable, migration: Migration, parameters: object): Promise<Planned> {
  const it = await mapped(db, migration);
  // In a preview the target is not there yet, where its module comes in the same run.
  const tables = (await exists(db, quoteName(it.target))) ? [it.target, ...it.waiting] : it.waiting;
  const absent = isAbsent(it, { tables });
  await db.query("SET LOCAL row_security = off");
  const constants = await readConstants(db, it.source, new Date().toISOString());
  const counted = await first<{ all: string; new: string; leftOut: Record<string, number> }>(
    db,
    `SELECT count(*) AS all, count(*) FILTER (WHERE ${absent}) AS new,
       ${leftOutIn(it, { kind: "all" })} AS "leftOut"
     FROM ${sourceIn(it, { kind: "all" })} s`,
    [JSON.stringify({ ...parameters, ...constants })],
  );
  const { all = 0, new: written = 0, leftOut = {} } = counted ?? {};
  return { source: BigInt(all), written: BigInt(written), leftOut };
}
