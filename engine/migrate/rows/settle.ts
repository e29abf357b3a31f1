import { escapeIdentifier } from "pg";
import type { FencedWriter } from "../../database";
import { GuardianError, isPostgres, isRowError, sqlstateOf } from "../../base/errors";
import { endBatch, isUntouched } from "../../ledger/batches";
import { forgetKey, forgetKeys } from "../../ledger/changes";
import { addReject } from "../../ledger/rejects";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { openBatch, type Run } from "./batch";
import { patiently } from "./patient";
import { columnsOf, condition, stretch, under, type Range } from "../definition/range";
import { lockUnreferred, takeBackUnreferred, unreferred } from "./referring";
import { isAbsent, matches, rowHash, sourceIn, targetIn, type Mapped } from "../definition/source";

/**
 * Makes the target agree with the source for some keys: missing rows come, rows of the migration that nobody changed
 * follow the source, and go with it. A row that cannot be moved is found by halving the keys, and put into the reject
 * table with its reason.
 */
export async function settleKeys(fenced: FencedWriter, run: Run, keys: readonly string[][]): Promise<void> {
  if (keys.length === 0) return;
  fenced.options.signal.throwIfAborted();
  const [key] = keys;
  if (key && keys.length === 1) return settleOrReject(fenced, run, key);
  try {
    await patiently(fenced, (db) => settleIn(db, run, keys));
  } catch (err) {
    if (!isRowError(err)) throw err;
    const half = Math.ceil(keys.length / 2);
    await settleKeys(fenced, run, keys.slice(0, half));
    await settleKeys(fenced, run, keys.slice(half));
  }
}

/** The same inside a transaction that is open already; a row that cannot be moved fails it. */
export async function settleIn(db: Queryable, run: Run, keys: readonly string[][]): Promise<void> {
  const { it, urn } = run;
  const lists = columnsOf(keys, it.key.length);
  const id = await openBatch(db, run);
  await forgetKeys(db, urn, it.name, lists);
  const unless = await unreferred(db, it.target);
  await lockUnreferred(db, it.target, ours(it), unless, [...lists, urn]);
  const settled = await first<Settled>(db, settleStatement(it, unless), [run.parameters, ...lists, urn]);
  if (settled && settled.twice !== "0") throw twice(it);
  await endBatch(db, id, settled ?? {});
}

interface Settled extends Record<string, string | null> {
  written: string;
  updated: string;
  takenBack: string;
  /** Source rows of which several would be one row. */
  twice: string;
  checksum: string | null;
}

/** As the target's index says it where it has one: 23505, unique_violation. */
function twice(it: Mapped): GuardianError {
  return new GuardianError("duplicate-rows", {
    what: `two source rows would become one row of ${it.target}`,
    where: `data migration ${it.name} (${it.match.join(", ")})`,
    todo: "mend them in v6, then run this again",
    sqlstate: "23505",
  });
}

/** Condition on alias `t` that a row of the target is the migration's own, of one of the keys: their lists, then the URN. */
function ours(it: Mapped): string {
  const range: Range = { kind: "list", types: it.types };
  return `${condition(under("t", it.targetKey), range, 1)} AND ${isUntouched("t", it.key.length + 1)}`;
}

/**
 * `$1` the source's parameters, then the lists of keys, then the URN. If two source rows
 * would be one row of the target, an UPDATE would take either: both are inserted instead, so that the target's unique index
 * refuses them by its name; where it has none, their number (twice) says so. Beside a row of somebody else's they are left
 * alone, as any source row is.
 */
function settleStatement(it: Mapped, unless: string): string {
  const range: Range = { kind: "list", types: it.types };
  const target = quoteName(it.target);
  const own = isUntouched("t", it.key.length + 2);
  const set = it.columns.filter((column) => !it.match.includes(column)).map((column) => escapeIdentifier(column));
  const match = under("s", it.match).join(", ");
  const values = (alias: string): string =>
    set.length > 0 ? `ROW(${set.map((c) => `${alias}.${c}`).join(", ")})` : "ROW()";
  const update =
    set.length === 0
      ? "SELECT NULL::bigint AS hash WHERE false"
      : `UPDATE ${target} t SET ${set.map((c) => `${c} = s.${c}`).join(", ")} FROM s
         WHERE ${matches(it)} AND ${own} AND ${values("t")} IS DISTINCT FROM ${values("s")} RETURNING ${rowHash(it, "t")} AS hash`;
  return `WITH s AS MATERIALIZED (SELECT * FROM ${sourceIn(it, range)} x),
    twice AS (
      SELECT d.* FROM (SELECT ${match} FROM s GROUP BY ${match} HAVING count(*) > 1) d WHERE NOT EXISTS (
        SELECT FROM ${target} p WHERE ${targetIn(it, "p", range)} AND ${matches(it, "p", "d")} AND NOT ${isUntouched("p", it.key.length + 2)})
    ), updated AS (${update}),
    written AS (
      INSERT INTO ${target} AS t (${it.columns.map((column) => escapeIdentifier(column)).join(", ")})
      SELECT ${under("s", it.columns).join(", ")} FROM s
      WHERE ${isAbsent(it)}
      UNION ALL SELECT ${under("s", it.columns).join(", ")} FROM s JOIN twice d ON ${matches(it, "d")}
      RETURNING ${rowHash(it, "t")} AS hash
    ), removed AS (
      DELETE FROM ${target} t WHERE ${targetIn(it, "t", range)} AND ${own}
        AND NOT EXISTS (SELECT FROM s WHERE ${matches(it)})${unless} RETURNING 1
    )
    SELECT (SELECT count(*) FROM written) AS written, (SELECT count(*) FROM updated) AS updated,
           (SELECT count(*) FROM removed) AS "takenBack", (SELECT count(*) FROM twice) AS twice,
           (SELECT sum(hash)::text FROM (SELECT hash FROM written UNION ALL SELECT hash FROM updated) h) AS checksum`;
}

/** Somebody wrote or deleted the same row at the same time: the next look sees it. */
const isRace = (err: unknown): boolean => /^(23503|23505|23P01)$/.test(sqlstateOf(err) ?? "");

/**
 * Settles one key; if its row cannot be moved, notes its key and who refused it, none of its values. All in one
 * transaction, whose first statement takes the noted changes away: one that v6 makes after it is still noted then, and
 * the row is looked at once more.
 */
async function settleOrReject(fenced: FencedWriter, run: Run, key: readonly string[]): Promise<void> {
  const rejected = await patiently(fenced, async (db) => {
    await forgetKey(db, run.it.name, key);
    for (let tries = 1; ; tries++) {
      await db.query("SAVEPOINT row");
      try {
        await settleIn(db, run, [[...key]]);
        await db.query("SET CONSTRAINTS ALL IMMEDIATE");
        return false;
      } catch (err) {
        if (!isRowError(err)) throw err;
        await db.query("ROLLBACK TO SAVEPOINT row");
        if (isRace(err) && tries < 3) continue;
        await reject(db, run, key, err);
        return true;
      }
    }
  });
  if (rejected) await run.gate(fenced);
}

/**
 * Notes a key and why its row cannot be moved, and takes back what was moved for it before v6 changed it: it says what v6
 * says no more, and would be counted as written beside its own reject.
 */
async function reject(db: Queryable, run: Run, key: readonly string[], err: unknown): Promise<void> {
  const { it, urn } = run;
  // RAISE may put anything into these fields (PostgreSQL manual, 43.9.1).
  const told = isPostgres(err) && err.routine !== "exec_stmt_raise" ? err : undefined;
  const object = told?.constraint ?? told?.column ?? null;
  await addReject(db, urn, key, sqlstateOf(err) ?? "XX000", object);
  await takeBackUnreferred(db, run, ours(it), [...columnsOf([key], it.key.length), urn]);
}

/** The keys that the source table or, of the migration's own rows, the target has above one key and up to another. */
export async function keysBetween(
  db: Queryable,
  run: Run,
  after: readonly string[] | undefined,
  upTo: readonly string[] | undefined,
): Promise<string[][]> {
  const { it, urn } = run;
  const { range, bounds } = stretch(it.types, after, upTo);
  const both = [
    `SELECT ${under("u", it.key).join(", ")} FROM ${it.readFrom} u WHERE ${condition(under("u", it.key), range)}`,
    `SELECT ${under("t", it.targetKey).join(", ")} FROM ${quoteName(it.target)} t WHERE ${targetIn(it, "t", range)} AND ${isUntouched("t", 1)}`,
  ];
  const names = it.key.map((_column, i) => `k${i}`);
  const keys = await rows<{ key: string[] }>(
    db,
    `SELECT ARRAY[${names.map((name) => `${name}::text`).join(", ")}] AS key FROM (${both.join(" UNION ")}) k (${names.join(", ")})`,
    [urn, ...bounds],
  );
  return keys.map((row) => row.key);
}
