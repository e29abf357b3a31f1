import { escapeIdentifier } from "pg";
import { first } from "../../base/sql";
import { insertRanges, planSize } from "../../ledger/ranges";
import type { Context } from "../context";
import { condition, tuple, under } from "../definition/range";
import type { Mapped } from "../definition/source";
import { rangeKeys } from "../workers/sizes";

/**
 * Plan: cuts the keys into ranges, from where an earlier run stopped: index-only passes over the keys in their order, each
 * its own transaction. Leaves the number of keys planned in all.
 * @param passKeys keys that one of them reads at most, a multiple of a range's
 */
export async function plan(context: Context, passKeys = 100_000): Promise<void> {
  const { fenced, it } = context;
  const { urn, onProgress } = fenced.options;
  for (;;) {
    fenced.options.signal.throwIfAborted();
    const { read, keys } = await fenced.transaction(async (db) => {
      const { keys: before, last } = await planSize(db, urn);
      const counted = await first<{ n: string }>(db, planPass(it, last !== undefined, passKeys), [
        urn,
        last?.place ?? 0,
        ...(last?.key ?? []),
      ]);
      const n = Number(counted?.n ?? 0);
      return { read: n, keys: before + n };
    });
    context.total = keys;
    if (read < passKeys) return;
    onProgress({ phase: "plan", subject: it.name, done: keys });
  }
}

/**
 * `$1` the URN, `$2` the last place, from `$3` the last key. Hops from range to range: of a range's keys, read from the
 * index in their order, only both ends and their number are kept. Numbering all keys of a pass takes four times as long.
 */
function planPass(it: Mapped, more: boolean, most: number): string {
  // Rounded up: a pass that reads fewer than `most` keys is taken for the last one.
  const hops = Math.ceil(most / rangeKeys);
  const key = it.key.map((column) => escapeIdentifier(column)).join(", ");
  const column = (name: string, nth: string): string =>
    `(pg_catalog.array_agg(${escapeIdentifier(name)}))[${nth}]::text`;
  const end = (nth: string): string => `ARRAY[${it.key.map((name) => column(name, nth)).join(", ")}]`;
  const range = (after: string): string =>
    `(SELECT ${end("1")} AS low, ${end("count(*)")} AS high, count(*)::integer AS keys FROM (
        SELECT ${key} FROM ${it.readFrom} u WHERE ${after} ORDER BY ${key} LIMIT ${rangeKeys}) k) x`;
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
