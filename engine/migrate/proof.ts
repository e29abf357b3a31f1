import { escapeIdentifier } from "pg";
import type { WriteSession } from "../database";
import { GuardianError } from "../errors";
import { ledgerSchema } from "../ledger/schema";
import { first, quoteName, rows, type Queryable } from "../sql";
import { openBatch, type Run } from "./batch";
import { patiently } from "./patient";
import { condition, stretch, under, type Range } from "./range";
import { unreferred } from "./referring";
import { mine } from "./settle";
import { matches, rowHash, sourceIn, targetIn, type Mapped } from "./source";

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
}

/** A row that differs. */
interface Difference extends Record<string, unknown> {
  key: string[];
  columns: string[] | null;
}

/** Keys that one comparison reads, about. */
const proofKeys = 10_000;

/**
 * Compares source and target row by row, a stretch of the plan at a time: every source row is in the target with the
 * same hash of its columns, or was there before, or is in the reject table; and every row of the migration has a source
 * row. What v6 changed and is not settled yet is left to the catch-up.
 * @throws GuardianError naming the keys and columns that differ; no values
 */
export async function prove(session: WriteSession, run: Run): Promise<Proof> {
  const { it, urn } = run;
  const ends = await rows<{ key: string[] }>(
    session.writer,
    `SELECT key FROM (
       SELECT key_to AS key, place, part, lead(part) OVER (ORDER BY place) AS next FROM (
         SELECT key_to, place, sum(keys) OVER (ORDER BY place) / $2::int AS part FROM ${ledgerSchema}.range WHERE urn = $1
       ) r
     ) r WHERE next IS DISTINCT FROM part ORDER BY place`,
    [urn, proofKeys],
  );
  const guarded = await onceOnly(session.writer, it);
  const proof: Proof = { source: 0n, equal: 0n, checksum: 0n, counted: {} };
  for (let i = 0; i < Math.max(ends.length, 1); i++) {
    session.options.signal.throwIfAborted();
    const after = ends[i - 1]?.key;
    const upTo = i < ends.length - 1 ? ends[i]?.key : undefined;
    const { range, bounds } = stretch(it.types, after, upTo);
    let found = await compare(session.writer, run, range, bounds, guarded);
    if (found.others !== "0" && (await giveWay(session, run, range, bounds)))
      found = await compare(session.writer, run, range, bounds, guarded);
    for (const [i, name] of it.source.counts.entries())
      proof.counted[name] = (proof.counted[name] ?? 0) + Number(found.counted[i]);
    proof.source += BigInt(found.source);
    proof.equal += BigInt(found.equal);
    proof.checksum += BigInt(found.checksum);
    if (found.suspect !== "0" || found.source !== found.offered) await refuse(session.writer, run, range, bounds);
    if (i % 5 === 4)
      session.options.onStatus(`${it.name}: compared with v6, ${proof.source.toLocaleString("en")} rows`);
  }
  return proof;
}

/** True if an index sees to it that no row of the target is there twice. */
async function onceOnly(db: Queryable, it: Mapped): Promise<boolean> {
  const index = await first(
    db,
    `SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = $1::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
       AND NOT EXISTS (SELECT FROM unnest(i.indkey[0:i.indnkeyatts - 1]) u(num)
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num AND a.attnotnull
         WHERE a.attname IS NULL OR a.attname <> ALL ($2))`,
    [quoteName(it.target), it.match],
  );
  return index !== undefined;
}

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
}

/** Both sides of a stretch in one snapshot. */
async function compare(
  db: Queryable,
  run: Run,
  range: Range,
  bounds: readonly string[],
  guarded: boolean,
): Promise<Compared> {
  const { it, urn } = run;
  const at = bounds.length + 2;
  const offered = guarded ? "count(s.*)" : `(SELECT count(*) FROM ${sourceIn(it, range)} x)`;
  const others = guarded
    ? "0"
    : `(SELECT count(*) FROM ${quoteName(it.target)} o WHERE ${targetIn(it, "o", range)} AND NOT ${mine("o", at)})`;
  const counted = it.source.counts.map((name) => `count(*) FILTER (WHERE s.${escapeIdentifier(name)})::text`);
  const found = await first<Compared>(
    db,
    `WITH s AS (SELECT x.*, ${rowHash(it, "x")} AS hash FROM ${sourceIn(it, range)} x),
      t AS (SELECT ${under("t", it.match).join(", ")}, ${rowHash(it, "t")} AS hash
            FROM ${quoteName(it.target)} t WHERE ${targetIn(it, "t", range)} AND ${mine("t", at)})
     SELECT count(s.*) AS source, ${offered} AS offered, ${others} AS others, ARRAY[${counted.join(", ")}]::text[] AS counted, count(*) FILTER (WHERE s.hash = t.hash) AS equal,
            coalesce(sum(t.hash) FILTER (WHERE s.hash = t.hash), 0)::text AS checksum,
            count(*) FILTER (WHERE s.hash IS DISTINCT FROM t.hash AND (s.hash IS NULL OR t.hash IS NOT NULL OR NOT EXISTS (
              SELECT FROM ${quoteName(it.target)} p WHERE ${matches(it, "p")}))) AS suspect
     FROM s FULL JOIN t ON ${matches(it)}`,
    [run.parameters, ...bounds, urn],
  );
  return found ?? { source: "0", offered: "0", equal: "0", checksum: "0", suspect: "0", others: "0", counted: [] };
}

/**
 * Takes rows of the migration back beside which somebody else has one that agrees in `match`: he wrote it while the batch
 * was under way, which could not see it. A patient who refused has no assumed consent besides.
 * @returns whether there were any
 */
async function giveWay(session: WriteSession, run: Run, range: Range, bounds: readonly string[]): Promise<boolean> {
  const { it, urn } = run;
  const at = bounds.length + 1;
  const target = quoteName(it.target);
  return patiently(session, async (db) => {
    const id = await openBatch(db, run, session.epoch);
    const gone = await first<{ n: string }>(
      db,
      `WITH gone AS (
         DELETE FROM ${target} t USING ${target} o WHERE ${condition(under("t", it.targetKey), range, 1)} AND ${mine("t", at)}
           AND ${matches(it, "o", "t")} AND o.ctid <> t.ctid AND NOT ${mine("o", at)}${await unreferred(db, it.target)} RETURNING 1
       ) SELECT count(*) AS n FROM gone`,
      [...bounds, urn],
    );
    const text = `UPDATE ${ledgerSchema}.batch SET state = 'done', rows_taken_back = $2 WHERE id = $1`;
    await db.query(text, [id, gone?.n ?? 0]);
    return gone !== undefined && gone.n !== "0";
  });
}

/** Looks at the rows that differ one by one: those that are rejected, or that v6 just changed, are none. */
async function refuse(db: Queryable, run: Run, range: Range, bounds: readonly string[]): Promise<void> {
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
      t AS (SELECT t.*, ${rowHash(it, "t")} AS hash FROM ${quoteName(it.target)} t WHERE ${targetIn(it, "t", range)} AND ${mine("t", at)})
     SELECT d.key, d.columns FROM (
       SELECT coalesce(CASE WHEN s.hash IS NOT NULL THEN ${key("s")} END, ${key("t")}) AS key,
              CASE WHEN s.hash IS NOT NULL AND t.hash IS NOT NULL
                THEN pg_catalog.array_remove(ARRAY[${differing.join(", ")}], NULL) END AS columns
       FROM s FULL JOIN t ON ${matches(it)}
       WHERE s.hash IS DISTINCT FROM t.hash AND (s.hash IS NULL OR t.hash IS NOT NULL OR NOT EXISTS (
         SELECT FROM ${quoteName(it.target)} p WHERE ${matches(it, "p")}))
       UNION ALL SELECT ${key("t")}, ARRAY['twice'] FROM t
       GROUP BY ${under("t", it.match).join(", ")} HAVING count(*) > 1
     ) d
     WHERE NOT EXISTS (SELECT FROM ${ledgerSchema}.change c WHERE c.migration = $${at + 2} AND (c.key = d.key OR c.key IS NULL))
       AND NOT EXISTS (SELECT FROM ${ledgerSchema}.reject r WHERE r.urn = $${at} AND r.key = d.key)
     LIMIT 10`,
    [run.parameters, ...bounds, urn, it.columns, it.name],
  );
  if (found.length === 0) return;
  const named = found.map(
    ({ key: k, columns }) => `${k.join(", ")} (${columns ? columns.join(", ") : "the whole row"})`,
  );
  throw new GuardianError({
    what: `rows of ${it.target} differ from what v6 has for them, and nobody is known to have changed them`,
    where: named.join("; "),
    todo: [
      "see what writes to the table beside the migration (a trigger?), and mend the rows",
      "roll the data stage back (guardian:through schema, up) and raise it again: the rows are written anew",
    ],
  });
}
