import type { FencedWriter } from "../../database";
import { first, quoteName } from "../../base/sql";
import { endUncounted, readUncounted, setCounted } from "../../ledger/archived";

/**
 * Counts the rows of archived tables: after the COMMIT that archived them, since deletions in v6 wait as long as their module's
 * tables are locked; if that run was cut off, by the next one, before any row comes back. Rows that an account's deletion took
 * along meanwhile are not among them.
 * @param applyId whose rows are wanted
 * @returns how many that application has in the archive, of those that were counted now
 */
export async function countArchived(fenced: FencedWriter, applyId: string | null = null): Promise<bigint> {
  if ((await readUncounted(fenced.writer)).length === 0) return 0n;
  return fenced.transaction(async (db) => {
    await db.query("SET LOCAL row_security = off");
    const open = await readUncounted(db);
    let all = 0n;
    for (const one of open) {
      // Of one that was dropped by hand the estimate is all that is known.
      if (!one.there) continue;
      const counted = await first<{ n: string }>(db, `SELECT count(*) AS n FROM ${quoteName(one.archivedAs)}`);
      const n = BigInt(counted?.n ?? 0);
      await setCounted(db, one, n);
      if (one.applyId === applyId) all += n;
    }
    for (const id of new Set(open.map((one) => one.applyId))) await endUncounted(db, id);
    return all;
  });
}
