import type { FencedWriter } from "../../database";
import { GuardianError } from "../../base/errors";
import { closeArchived, lostTables, type Lost } from "../../ledger/archived";
import { urnOfApply } from "../../ledger/modules";
import { forgetRejects } from "../../ledger/rejects";
import { addStep, endPart, newestBackups } from "../../ledger/steps";
import { first, type Queryable } from "../../base/sql";

/**
 * Rows that v7 collected from patients must not be lost in silence: applying their module is refused until the table is
 * back, or somebody says that the rows are given up.
 * @throws GuardianError naming the tables, how many rows, and the backups to look in
 */
export async function refuseLost(db: Queryable, originals: readonly string[]): Promise<void> {
  const lost = await lostTables(db, originals);
  if (lost.length === 0) return;
  const taken = await backupsTaken(db);
  throw new GuardianError("archive-dropped", {
    what: "an archived table was dropped by hand, with rows that this module is to bring back",
    where: lost
      .map((one) => `${one.archivedAs}, up to ${one.rows} rows of ${one.original}, archived ${one.archivedAt}`)
      .join("; "),
    todo: [
      `put it back under that name from a backup, then run this again. One taken later than it was archived may hold it; one taken before holds its rows in the original table, or in an archive of then (manifest.json lists the tables)${taken ? `: ${taken}` : ""}`,
      "give these rows up for good: npm run purge -- --lost, then run this again",
    ],
  });
}

/** @returns the newest backups with when they were taken, for a message; empty if there is none */
export async function backupsTaken(db: Queryable): Promise<string> {
  return (await newestBackups(db)).map(({ path, takenAt }) => `${path} (taken ${takenAt})`).join(", ");
}

/**
 * Gives up the rows of archived tables that are gone: the ledger keeps who did so and how many rows it were.
 * @param confirmed what the operator was shown; a table that is back meanwhile is left alone
 * @returns what was given up
 */
export async function giveUpLost(fenced: FencedWriter, confirmed: readonly Lost[]): Promise<Lost[]> {
  const shown = new Set(confirmed.map(partOf));
  return fenced.transaction(async (db) => {
    const lost = (await lostTables(db)).filter((one) => shown.has(partOf(one)));
    const who = await first<{ name: string }>(db, "SELECT session_user AS name");
    for (const one of lost) {
      await closeArchived(db, one);
      await forgetRejects(db, one.archivedAs);
      await endPart(db, partOf(one));
      const urn = await urnOfApply(db, one.applyId);
      if (urn === undefined) continue;
      // "undone": nothing of it is in the database, and nothing waits for it.
      const detail = { lost: Number(one.rows), by: who?.name ?? "" };
      const part = `lost ${one.original} ${one.applyId}`;
      await addStep(db, { urn, part, kind: "rows", state: "undone", detail });
    }
    return lost;
  });
}

/** The part of the ledger under which a table's rows come back. */
export function partOf(waiting: { original: string; applyId: string }): string {
  return `rows ${waiting.original} ${waiting.applyId}`;
}
