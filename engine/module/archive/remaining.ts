import { first, quoteName, type Queryable } from "../../base/sql";
import { readWaiting, type Waiting } from "../../ledger/archived";
import { forgetRejects, forgetSome, isRejected, readRejects, unreached, type Reject } from "../../ledger/rejects";
import { detailOf, isRefused, type Step } from "../../ledger/steps";
import { present } from "../present";
import { partOf } from "./lost";
import { foreignKeys, matches, type ForeignKey } from "./references";
import { namedRows, type Named } from "./refused";

/** An archived table that came back but for rows which the module refused. */
export interface Remaining {
  urn: string;
  /** The ledger's part of the module under which they came back. */
  part: string;
  original: string;
  archivedAs: string;
  /** Rows that are in it now. */
  rows: number;
  /** They are tried once more: somebody mended or deleted rows since, or what one refers to is there now or is tried itself. */
  changed: boolean;
  /** Why they were refused. */
  rejects: Reject[];
}

/** @returns how many rows an archived table has, and a hash of which versions they are (PostgreSQL manual, 5.6) */
export async function rowsLeft(
  db: Queryable,
  of: Pick<Waiting, "archivedAs">,
): Promise<{ rows: number; seen: string }> {
  await db.query("SET LOCAL row_security = off");
  const found = await first<{ rows: string; seen: string }>(
    db,
    `SELECT count(*) AS rows, coalesce(sum(pg_catalog.hashtextextended(a.ctid::text || ' ' || a.xmin::text, 0)), 0)::text AS seen
     FROM ${quoteName(of.archivedAs)} a`,
  );
  return { rows: Number(found?.rows ?? 0), seen: found?.seen ?? "" };
}

/** One of them, and what is known of its rows besides. */
interface Looked {
  of: Waiting;
  remaining: Remaining;
  /** SELECTs of the keys of rows that are tried because of what they refer to; undefined where all rows are. */
  freed?: string[];
}

/** @returns the archived tables of which rows stay. @param steps the newest of all modules: one's rows may wait for another's */
export async function readRemaining(db: Queryable, steps: readonly Step[]): Promise<Remaining[]> {
  return (await look(db, steps)).map(({ remaining }) => remaining);
}

/**
 * Forgets of one module what is to be tried once more. Of a table in which nobody changed anything only rows go that reach what
 * they refer to: others may refer to what was given up, and would be left out, which nobody asked for.
 * @returns the parts to plan
 */
export async function tryAgain(db: Queryable, steps: readonly Step[], urn: string): Promise<string[]> {
  const again = (await look(db, steps)).filter(({ remaining }) => remaining.urn === urn && remaining.changed);
  for (const { of, freed } of again) {
    if (!freed) await forgetRejects(db, of.archivedAs);
    else for (const keys of freed) await forgetSome(db, of.archivedAs, keys);
    // What waits in the same table for one that is forgotten now, and what waits for that.
    for (const keys of await ownFollowing(db, of)) while ((await forgetSome(db, of.archivedAs, keys)) > 0);
  }
  return again.map(({ remaining }) => remaining.part);
}

async function look(db: Queryable, steps: readonly Step[]): Promise<Looked[]> {
  const parts = steps.filter(isRefused);
  if (parts.length === 0) return [];
  const waiting = await readWaiting(db);
  const found: Looked[] = [];
  for (const step of parts) {
    const of = waiting.find((one) => one.there && partOf(one) === step.part);
    if (!of) continue;
    const { original, archivedAs } = of;
    const { rows, seen } = await rowsLeft(db, of);
    const changed = seen !== detailOf(step, "rows").seen;
    const rejects = await readRejects(db, archivedAs);
    found.push({ of, remaining: { urn: step.urn, part: step.part, original, archivedAs, rows, changed, rejects } });
  }
  const tried = waiting.filter((one) => !found.some(({ of, remaining }) => of === one && !remaining.changed));
  const staying = found.filter(({ remaining }) => !remaining.changed);
  // What waits for rows of a table that is tried is tried too, and others may wait for that.
  for (let before = -1; before < tried.length;) {
    before = tried.length;
    for (const one of staying) {
      one.freed = await freedKeys(db, one, tried);
      if (one.freed.length === 0 || one.remaining.changed) continue;
      one.remaining.changed = true;
      tried.push(one.of);
    }
  }
  return found;
}

/** SELECTs that find rows refused for what they refer to, which is in its table now or among archived rows that are tried. */
async function freedKeys(db: Queryable, { of, remaining }: Looked, tried: readonly Waiting[]): Promise<string[]> {
  if (!remaining.rejects.some(({ sqlstate }) => sqlstate === unreached)) return [];
  const { keys, named } = await keysOf(db, of);
  const freed: string[] = [];
  for (const key of keys) {
    const others = tried.filter(({ there, original }) => there && original === key.target && original !== of.original);
    const places = [key.to, ...others.map(({ archivedAs }) => quoteName(archivedAs))];
    const reached = places.map((place) => `EXISTS (SELECT FROM ${place} r WHERE ${matches(key, "m", "r")})`);
    const select = `SELECT ${named.key("m")} FROM ${named.archived} m WHERE ${isRejected(named.urn, named.key("m"), key.name)} AND (${reached.join(" OR ")})`;
    if (await first(db, `${select} LIMIT 1`)) freed.push(select);
  }
  return freed;
}

/** SELECTs that find rows refused for a row of their own table which is not noted any more. */
async function ownFollowing(db: Queryable, of: Waiting): Promise<string[]> {
  const { keys, named } = await keysOf(db, of);
  return keys
    .filter(({ self }) => self)
    .map(
      (key) =>
        `SELECT ${named.key("m")} FROM ${named.archived} m WHERE ${isRejected(named.urn, named.key("m"), key.name)}
         AND EXISTS (SELECT FROM ${named.archived} p WHERE ${matches(key, "m", "p")} AND NOT ${isRejected(named.urn, named.key("p"))})`,
    );
}

/** The foreign keys of the table that rows come back to; none where somebody dropped it. */
async function keysOf(db: Queryable, of: Waiting): Promise<{ keys: ForeignKey[]; named: Named }> {
  const named = await namedRows(db, of);
  const there = (await present(db, [of.original])).length > 0;
  return { named, keys: there ? await foreignKeys(db, quoteName(of.original), named.archived) : [] };
}
