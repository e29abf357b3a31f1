import { escapeIdentifier } from "pg";
import type { FencedWriter } from "../../database";
import { GuardianError } from "../../base/errors";
import { arePlain } from "../../base/names";
import { isUntouched } from "../../ledger/batches";
import { isUnexcused } from "../../ledger/changes";
import { rangeEnds } from "../../ledger/ranges";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import type { Run } from "./batch";
import type { Crew } from "../workers/crew";
import { patiently } from "./patient";
import { Meter } from "../workers/meter";
import { columnsOf, condition, stretch, under, type Range } from "../definition/range";
import { takeBackUnreferred } from "./referring";
import { isAbsent, leftOutIn, matches, rowHash, sourceIn, targetIn } from "../definition/source";
import { firstSize, nextSize } from "../workers/sizes";

/** What the comparison found. */
export interface Proof {
  /** Rows that the source offers. */
  source: bigint;
  /** Rows of the migration, each equal to its source row in every column. */
  equal: bigint;
  /** Sum of the rows' hashes, equal on both sides. */
  checksum: bigint;
  /** For each of the source's counts, in how many rows it is true. */
  counted: Record<string, number>;
  /** Rows that the source leaves out on purpose, by reason. */
  leftOut: Record<string, number>;
}

/** A row that differs. */
interface Difference extends Record<string, unknown> {
  key: string[];
  columns: string[] | null;
}

/** A range's parameters: the columns of its ends, or of a list one array for each. */
type Bounds = readonly (string | string[])[];

/** Keys that one comparison reads at most. */
const proofKeys = 10_000;

/**
 * Compares source and target row by row, a stretch of the plan at a time: every source row is in the target with the
 * same hash of its columns, or was there before, or is in the reject table; and every row of the migration has a source
 * row. What v6 changed and is not settled yet is left to the catch-up.
 * @throws GuardianError naming the keys, where they are of uuids and numbers, and the columns that differ; no values
 */
export async function proveAll(crew: Crew, run: Run): Promise<Proof> {
  const { it, urn } = run;
  const ends = await rangeEnds(crew.first.writer, urn);
  const proof: Proof = { source: 0n, equal: 0n, checksum: 0n, counted: {}, leftOut: {} };
  const total = ends.reduce((sum, { keys }) => sum + keys, 0);
  const meter = new Meter("compare", it.name, total);
  const sizes = crew.workers.map(() => firstSize(crew.pace));
  const parts = Math.max(ends.length, 1);
  let next = 0;
  const turn = async (fenced: FencedWriter, worker: number): Promise<boolean> => {
    if (next >= parts) return false;
    const began = performance.now();
    const after = ends[next - 1]?.key;
    let keys = 0;
    do keys += ends[next++]?.keys ?? 0;
    while (next < parts && keys + (ends[next]?.keys ?? 0) <= (sizes[worker] ?? 0));
    const upTo = next < parts ? ends[next - 1]?.key : undefined;
    const { range, bounds } = stretch(it.types, after, upTo);
    let found = await looking(fenced, (db) => compare(db, run, range, bounds));
    const beside = found.others !== "0";
    if (beside && (await patiently(fenced, (db) => giveWay(db, run, range, bounds))))
      found = await looking(fenced, (db) => compare(db, run, range, bounds));
    for (const [at, name] of it.source.counts.entries())
      proof.counted[name] = (proof.counted[name] ?? 0) + Number(found.counted[at]);
    for (const [reason, n] of Object.entries(found.leftOut)) proof.leftOut[reason] = (proof.leftOut[reason] ?? 0) + n;
    proof.source += BigInt(found.source);
    proof.equal += BigInt(found.equal);
    proof.checksum += BigInt(found.checksum);
    if (isSuspect(found)) await looking(fenced, (db) => refuse(db, run, range, bounds));
    meter.add(keys);
    sizes[worker] = Math.min(proofKeys, nextSize(keys, performance.now() - began, it.batchMs, crew.pace.speed));
    return next < parts;
  };
  await crew.during(meter, () => crew.inTurns(turn));
  return proof;
}

/**
 * Compares a few keys, for instance those that were settled after the comparison of all, in the open transaction.
 * @param answered notes that every key is in question, which this answers
 * @throws GuardianError as `proveAll` does
 */
export async function proveKeys(
  db: Queryable,
  run: Run,
  keys: readonly (readonly string[])[],
  answered: readonly string[] = [],
): Promise<void> {
  if (keys.length === 0) return;
  const range: Range = { kind: "list", types: run.it.types };
  const bounds = columnsOf(keys, run.it.key.length);
  let found = await compare(db, run, range, bounds);
  if (found.others !== "0" && (await giveWay(db, run, range, bounds))) found = await compare(db, run, range, bounds);
  if (isSuspect(found)) await refuse(db, run, range, bounds, answered);
}

const isSuspect = (found: Compared): boolean => found.suspect !== "0" || found.source !== found.offered;

interface Compared extends Record<string, unknown> {
  /** Rows that the comparison saw of the source. */
  source: string;
  /** Rows that the source has: fewer, if one has two rows in the target. */
  offered: string;
  equal: string;
  checksum: string;
  suspect: string;
  /** Rows of others, where an index does not keep a second row of the same out. */
  others: string;
  counted: string[];
  leftOut: Record<string, number>;
}

/**
 * While a target is new the server knows nothing of its rows, and takes a range of them for one: it would loop over every
 * batch for each (enable_nestloop, as in a batch).
 */
function looking<T>(fenced: FencedWriter, work: (db: Queryable) => Promise<T>): Promise<T> {
  return fenced.transaction(async (db) => {
    await db.query("SET LOCAL enable_nestloop = off");
    return work(db);
  });
}

/** Both sides of a stretch in one snapshot. */
async function compare(db: Queryable, run: Run, range: Range, bounds: Bounds): Promise<Compared> {
  const { it, urn } = run;
  const at = bounds.length + 2;
  const offered = run.guarded ? "count(s.*)" : `(SELECT count(*) FROM ${sourceIn(it, range)} x)`;
  const others = run.guarded
    ? "0::bigint"
    : `(SELECT count(*) FROM ${quoteName(it.target)} o WHERE ${targetIn(it, "o", range)} AND NOT ${isUntouched("o", at)})`;
  const counted = it.source.counts.map((name) => `count(*) FILTER (WHERE s.${escapeIdentifier(name)})::text`);
  const found = await first<Compared>(
    db,
    `WITH s AS (SELECT x.*, ${rowHash(it, "x")} AS hash FROM ${sourceIn(it, range)} x),
      t AS (SELECT ${under("t", it.match).join(", ")}, ${rowHash(it, "t")} AS hash
            FROM ${quoteName(it.target)} t WHERE ${targetIn(it, "t", range)} AND ${isUntouched("t", at)})
     SELECT count(s.*) AS source, ${offered} AS offered, ${others} AS others, ARRAY[${counted.join(", ")}]::text[] AS counted, ${leftOutIn(it, range)} AS "leftOut", count(*) FILTER (WHERE s.hash = t.hash) AS equal,
            coalesce(sum(t.hash) FILTER (WHERE s.hash = t.hash), 0)::text AS checksum,
            count(*) FILTER (WHERE s.hash IS DISTINCT FROM t.hash AND (s.hash IS NULL OR t.hash IS NOT NULL OR ${isAbsent(it)})) AS suspect
     FROM s FULL JOIN t ON ${matches(it)}`,
    [run.parameters, ...bounds, urn],
  );
  return (
    found ?? {
      source: "0",
      offered: "0",
      equal: "0",
      checksum: "0",
      suspect: "0",
      others: "0",
      counted: [],
      leftOut: {},
    }
  );
}

/**
 * Takes rows of the migration back beside which somebody else has one that agrees in `match`: he wrote it while the batch
 * was under way, which could not see it. A patient who refused has no assumed consent besides.
 * @returns whether there were any
 */
async function giveWay(db: Queryable, run: Run, range: Range, bounds: Bounds): Promise<boolean> {
  const { it, urn } = run;
  const at = bounds.length + 1;
  const target = quoteName(it.target);
  const ours = `${condition(under("t", it.targetKey), range, 1)} AND ${isUntouched("t", at)}
    AND EXISTS (SELECT FROM ${target} o WHERE ${matches(it, "o", "t")} AND o.ctid <> t.ctid AND NOT ${isUntouched("o", at)})`;
  return (await takeBackUnreferred(db, run, ours, [...bounds, urn])) > 0;
}

/**
 * Looks at the rows that differ one by one: those that are rejected, or that v6 just changed, are none.
 * @param answered notes of v6's changes that excuse nothing
 */
async function refuse(
  db: Queryable,
  run: Run,
  range: Range,
  bounds: Bounds,
  answered: readonly string[] = [],
): Promise<void> {
  const { it, urn } = run;
  const at = bounds.length + 2;
  const key = (alias: string): string =>
    `ARRAY[${under(alias, it.targetKey)
      .map((c) => `${c}::text`)
      .join(", ")}]`;
  const differing = it.columns.map((column, i) => {
    const [s, t] = [under("s", [column])[0], under("t", [column])[0]];
    return `CASE WHEN ${s} IS DISTINCT FROM ${t} THEN ($${at + 1}::text[])[${i + 1}] END`;
  });
  const found = await rows<Difference>(
    db,
    `WITH s AS (SELECT x.*, ${rowHash(it, "x")} AS hash FROM ${sourceIn(it, range)} x),
      t AS (SELECT t.*, ${rowHash(it, "t")} AS hash FROM ${quoteName(it.target)} t WHERE ${targetIn(it, "t", range)} AND ${isUntouched("t", at)})
     SELECT d.key, d.columns FROM (
       SELECT coalesce(CASE WHEN s.hash IS NOT NULL THEN ${key("s")} END, ${key("t")}) AS key,
              CASE WHEN s.hash IS NOT NULL AND t.hash IS NOT NULL
                THEN pg_catalog.array_remove(ARRAY[${differing.join(", ")}], NULL) END AS columns
       FROM s FULL JOIN t ON ${matches(it)}
       WHERE s.hash IS DISTINCT FROM t.hash AND (s.hash IS NULL OR t.hash IS NOT NULL OR ${isAbsent(it)})
       UNION ALL SELECT ${key("t")}, ARRAY['twice'] FROM t
       GROUP BY ${under("t", it.match).join(", ")} HAVING count(*) > 1
     ) d
     WHERE ${isUnexcused("d.key", { urn: at, migration: at + 2, answered: at + 3 })} LIMIT 10`,
    [run.parameters, ...bounds, urn, it.columns, it.name, answered],
  );
  if (found.length === 0) return;
  const told = arePlain(it.types)
    ? (of: Difference) => of.key.join(", ")
    : () => "a key that may be personal is not told";
  const named = found.map((of) => `${told(of)} (${of.columns ? of.columns.join(", ") : "the whole row"})`);
  throw new GuardianError("rows-differ", {
    what: `rows of ${it.target} differ from what v6 has for them, and nobody is known to have changed them`,
    where: named.join("; "),
    todo: [
      "see what writes to the table beside the migration (a trigger?), and mend the rows; one that is missing may be inserted again as v6 has it",
      "roll the data stage back (guardian:through schema, up) and raise it again: the rows are written anew",
    ],
  });
}
