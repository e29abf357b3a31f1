import { first, quoteName, type Queryable } from "../../base/sql";
import { readWaiting, type Waiting } from "../../ledger/archived";
import { readRejects, type Reject } from "../../ledger/rejects";
import { detailOf, isRefused, type Step } from "../../ledger/steps";
import { partOf } from "./lost";

/** An archived table that came back but for rows which the module refused. */
export interface Remaining {
  urn: string;
  /** The ledger's part of the module under which they came back. */
  part: string;
  original: string;
  archivedAs: string;
  /** Rows that are in it now. */
  rows: number;
  /** Somebody mended or deleted rows since they were refused. */
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

/** @returns of the modules whose newest steps these are, the archived tables of which rows stay */
export async function readRemaining(db: Queryable, steps: readonly Step[]): Promise<Remaining[]> {
  const parts = steps.filter(isRefused);
  if (parts.length === 0) return [];
  const waiting = await readWaiting(db);
  const found: Remaining[] = [];
  for (const step of parts) {
    const table = waiting.find((one) => one.there && partOf(one) === step.part);
    if (!table) continue;
    const { original, archivedAs } = table;
    const { rows, seen } = await rowsLeft(db, table);
    const changed = seen !== detailOf(step, "rows").seen;
    const rejects = await readRejects(db, archivedAs);
    found.push({ urn: step.urn, part: step.part, original, archivedAs, rows, changed, rejects });
  }
  return found;
}
