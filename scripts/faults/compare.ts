import type { Content, Row } from "./content";

/** Rows of users: table → key → digest of the whole row as they left it. */
export type Theirs = Map<string, Map<string, string>>;

/** What a run is compared by. */
export interface Verdict {
  /** Rows that should be there and are not, or not as they should be. */
  lost: number;
  /** Rows of a key beyond the first. */
  twice: number;
  /** Everything that is not as it should be, a line each, without row values. */
  faults: string[];
}

/**
 * Compares with what an undisturbed run leaves, in which the rows that users wrote since take the place of those of the same
 * key.
 */
export function compareContent(undisturbed: Content, theirs: Theirs, found: Content): Verdict {
  const verdict: Verdict = { lost: 0, twice: 0, faults: [] };
  for (const table of new Set([undisturbed.rows, theirs, found.rows].flatMap((one) => [...one.keys()]))) {
    const own = theirs.get(table) ?? new Map<string, string>();
    const { lost, twice, strange } = compareRows(undisturbed.rows.get(table) ?? [], own, found.rows.get(table) ?? []);
    verdict.lost += lost;
    verdict.twice += twice;
    const counts = { "lost or changed": lost, "there twice": twice, "that should not be there": strange };
    for (const [what, n] of Object.entries(counts)) if (n > 0) verdict.faults.push(`${table}: ${n} rows ${what}`);
  }
  const [should, is] = [new Set(undisturbed.facts), new Set(found.facts)];
  for (const fact of should) if (!is.has(fact)) verdict.faults.push(`missing: ${fact}`);
  for (const fact of is) if (!should.has(fact)) verdict.faults.push(`not in the undisturbed run: ${fact}`);
  return verdict;
}

/**
 * The rows of a session that is over: each later run has one of its own beside it, and must leave it as it is.
 * @param left what is there before a run that opens a session
 */
export function keepSession(theirs: Theirs, left: Content): void {
  for (const [table, rows] of left.session) {
    const own = theirs.get(table) ?? new Map<string, string>();
    theirs.set(table, own);
    for (const { key, whole } of rows) own.set(key, whole);
  }
}

function compareRows(undisturbed: readonly Row[], theirs: ReadonlyMap<string, string>, found: readonly Row[]) {
  const there = new Map<string, Row[]>();
  for (const row of found) there.set(row.key, [...(there.get(row.key) ?? []), row]);
  const counts = { lost: 0, twice: 0, strange: 0 };
  const keys = new Set(theirs.keys());
  for (const [key, whole] of theirs) if (!there.get(key)?.some((row) => row.whole === whole)) counts.lost += 1;
  for (const row of undisturbed) {
    if (theirs.has(row.key)) continue;
    keys.add(row.key);
    if (!there.get(row.key)?.some((one) => one.content === row.content)) counts.lost += 1;
  }
  for (const [key, rows] of there) {
    counts.twice += rows.length - 1;
    if (!keys.has(key)) counts.strange += 1;
  }
  return counts;
}

/** Adds the rows that differ between two looks, since users wrote them in between. @returns how many they were */
export function addTheirs(theirs: Theirs, before: Content, after: Content): number {
  let written = 0;
  for (const [table, rows] of after.rows) {
    const known = new Set((before.rows.get(table) ?? []).map((row) => row.whole));
    const own = theirs.get(table) ?? new Map<string, string>();
    theirs.set(table, own);
    for (const row of rows) {
      if (known.has(row.whole)) continue;
      own.set(row.key, row.whole);
      written += 1;
    }
  }
  return written;
}
