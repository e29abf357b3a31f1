import { readWaiting } from "../ledger/archived";
import { readLedger } from "../ledger/identity";
import { exists, first, quoteName, type Queryable } from "../base/sql";
import type { Migration } from "./definition/migration";
import { mapped, matches, readConstants, sourceIn } from "./definition/source";

/** How many rows would be written now, and how many the source offers. */
export interface Planned {
  source: bigint;
  written: bigint;
}

/** Counts for the preview. Rows that wait in the archive come back before and win. Runs in a read-only transaction. */
export async function planMove(db: Queryable, migration: Migration, parameters: object): Promise<Planned> {
  const it = await mapped(db, migration);
  const present = (await tablesWithRows(db, migration.target)).map(
    (table) => `NOT EXISTS (SELECT FROM ${quoteName(table)} t WHERE ${matches(it)})`,
  );
  await db.query("SET LOCAL row_security = off");
  const constants = await readConstants(db, it.source, new Date().toISOString());
  const counted = await first<{ all: string; new: string }>(
    db,
    `SELECT count(*) AS all, count(*) FILTER (WHERE ${["true", ...present].join(" AND ")}) AS new
     FROM ${sourceIn(it, { kind: "all" })} s`,
    [JSON.stringify({ ...parameters, ...constants })],
  );
  return { source: BigInt(counted?.all ?? 0), written: BigInt(counted?.new ?? 0) };
}

/** @returns those of the target and of its archived forms that are there */
async function tablesWithRows(db: Queryable, target: string): Promise<string[]> {
  const waiting = (await readLedger(db)) ? await readWaiting(db, [target]) : [];
  const there: string[] = [];
  for (const name of [target, ...waiting.map((one) => one.archivedAs)]) {
    if (await exists(db, quoteName(name))) there.push(name);
  }
  return there;
}
