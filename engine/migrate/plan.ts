import { escapeIdentifier } from "pg";
import { engineParameters, type WriteSession } from "../database";
import { readWaiting } from "../ledger/archived";
import { insertRanges, planSize } from "../ledger/ranges";
import { readLedger } from "../ledger/identity";
import { exists, first, quoteName, type Queryable } from "../base/sql";
import type { Migration } from "./definition/migration";
import { condition, tuple, under } from "./definition/range";
import { mapped, matches, readConstants, sourceIn, type Mapped } from "./definition/source";

/** Keys in one range of the plan; a batch takes as many ranges as fit its time. */
export const { rangeKeys } = engineParameters();
/** Keys that one planning transaction reads at most. */
const passKeys = 100_000;

/** How the plan is made where it is not made as usual: by tests. */
export interface PlanOptions {
  /** Keys of a pass, a multiple of a range's. */
  passKeys?: number;
}

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

/**
 * Plans the ranges, from where an earlier run stopped: index-only passes over the keys in their order, each its own
 * transaction.
 * @returns the number of keys planned in all
 */
export async function planRanges(session: WriteSession, it: Mapped, options: PlanOptions = {}): Promise<number> {
  const { urn, onProgress } = session.options;
  const most = options.passKeys ?? passKeys;
  for (;;) {
    session.options.signal.throwIfAborted();
    const { read, keys } = await session.transaction(async (db) => {
      const { keys: before, last } = await planSize(db, urn);
      const counted = await first<{ n: string }>(db, planPass(it, last !== undefined, most), [
        urn,
        last?.place ?? 0,
        ...(last?.key ?? []),
      ]);
      const n = Number(counted?.n ?? 0);
      return { read: n, keys: before + n };
    });
    if (read < most) return keys;
    onProgress({ phase: "plan", subject: it.name, done: keys });
  }
}

/**
 * `$1` the URN, `$2` the last place, from `$3` the last key. Hops from range to range: of a range's keys, read from the
 * index in their order, only both ends and their number are kept. Numbering all keys of a pass takes four times as long.
 */
function planPass(it: Mapped, more: boolean, most: number): string {
  // A pass that is not full is taken for the last one.
  const hops = Math.ceil(most / rangeKeys);
  const key = it.key.map((column) => escapeIdentifier(column)).join(", ");
  const column = (name: string, nth: string): string =>
    `(pg_catalog.array_agg(${escapeIdentifier(name)}))[${nth}]::text`;
  const end = (nth: string): string => `ARRAY[${it.key.map((name) => column(name, nth)).join(", ")}]`;
  const range = (after: string): string =>
    `(SELECT ${end("1")} AS low, ${end("count(*)")} AS high, count(*)::integer AS keys FROM (
        SELECT ${key} FROM ${quoteName(it.from)} u WHERE ${after} ORDER BY ${key} LIMIT ${rangeKeys}) k) x`;
  const afterLast = condition(under("u", it.key), { kind: "after", types: it.types, from: more, to: false }, 3);
  const afterHigh = `${tuple(under("u", it.key))} > ${tuple(it.types.map((type, i) => `r.high[${i + 1}]::${type}`))}`;
  return `WITH RECURSIVE r (hop, low, high, keys) AS (
      SELECT 1, x.* FROM ${range(afterLast)} WHERE x.keys > 0
      UNION ALL
      SELECT r.hop + 1, x.* FROM r, LATERAL ${range(afterHigh)}
      WHERE r.hop < ${hops} AND r.keys = ${rangeKeys} AND x.keys > 0
    ), made AS (
      ${insertRanges("SELECT $1, $2::integer + hop, low, high, keys FROM r")}
    ) SELECT coalesce(sum(keys), 0) AS n FROM r`;
}
