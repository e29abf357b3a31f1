import { rows, type Queryable } from "../base/sql";
import { ledgerTable, ledgerTableNames } from "./schema";

/** What v6's own transactions write, by the triggers that follow them. */
const theirs = "change";

/**
 * The transactions of the migration, as far as the ledger bears a mark of them: those that it recorded as the one in which a
 * step or a batch ended, and those that wrote a row of it which stands as they wrote it (its xmin). Every transaction of
 * a FencedWriter that does work writes a row of the ledger besides, in the same transaction, so that only those are
 * missing whose row was overwritten by a later one and whose id was not recorded: trials of a step that failed.
 *
 * A row that was written in a subtransaction bears the subtransaction's id, which no catalogue tells, and which is not among
 * these. (track_commit_timestamp, by which a range of them could be told, is off where nobody switched it on.) What these write
 * to v6 is refused before COMMIT (engine/untouched.ts).
 *
 * @returns their ids without the epoch, as xmin shows them
 */
export async function ownTransactions(db: Queryable): Promise<string[]> {
  const written = ledgerTableNames.filter((name) => name !== theirs);
  const recorded = (["step", "batch"] as const).map(
    (name) => `SELECT (xid::text::numeric % 4294967296)::text AS xid FROM ${ledgerTable(name)} WHERE xid IS NOT NULL`,
  );
  const standing = written.map((name) => `SELECT xmin::text FROM ${ledgerTable(name)}`);
  const found = await rows<{ xid: string }>(db, [...recorded, ...standing].join("\nUNION\n"));
  // 0 to 2 are no transaction's (manual, 74.1): a row that was frozen before 9.4 bears 2.
  return found.map(({ xid }) => xid).filter((xid) => Number(xid) > 2);
}
