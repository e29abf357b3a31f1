import type { Queryable } from "../../base/sql";
import { countsRows } from "../../connect";
import { couldNotRun, some, type Check, type Finding } from "../check";
import { Counted, faultsOf } from "../faults";
import { passOf } from "./pass";
import type { Scanned } from "./pass/compare";

/**
 * That the migration wrote nothing to v6: no row of v6's tables was written by a transaction that the ledger bears a mark of
 * (ledger/transactions.ts says which these are, and which are not seen). By xmin: pg_xact_commit_timestamp is off where nobody
 * asked for it, and a trigger of ours would itself be a change of v6.
 *
 * A row keeps its xmin when it is frozen, so that a very old one may bear an id that was given again. Where ids have begun
 * anew (2^32 of them), such a row cannot be told from one of ours, and the check says so: the more the migration has written,
 * the surer it is that some row does.
 *
 * What leaves no such row, a deletion, or bears another id, a row of a subtransaction, is not for a look afterwards: the
 * server counts it while the transaction lasts, and one that wrote to v6 is not committed (engine/untouched.ts). Where
 * nobody counts, that is not known.
 */
export const written: Check = {
  name: "v6-written",
  asks: "whether the migration itself has written no row of v6's tables",
  cost: "pass",
  worse: ["writtenRows", "unknownTables"],
  async run(site) {
    const { tables, lacking, wrapped } = await passOf(site, "v6-written");
    if (lacking && tables.length === 0) return lacking;
    const ours = tables.filter(({ now }) => (now?.ours ?? 0) > 0);
    const unread = tables.filter((table) => table.unread !== undefined);
    const figures = {
      readRows: tables.reduce((sum, { now }) => sum + (now?.rows ?? 0), 0),
      writtenRows: ours.reduce((sum, { now }) => sum + (now?.ours ?? 0), 0),
      unknownTables: unread.length,
    };
    const unknown = unread.map((table) => `${table.shown}: not read: ${table.unread ?? ""}`);
    const faults = faultsOf([
      ["tables that are not read", new Counted().add(...unread.map(({ shown }) => shown))],
      ...ours.map(({ shown, now }) => [shown, new Counted().add(...rowsOf(now))] as const),
    ]);
    if (ours.length === 0 && unknown.length > 0)
      return {
        verdict: "could not run",
        evidence: some(unknown),
        figures,
        ...faults,
        mend: ["ask again once nobody holds a lock on these tables"],
        again: unread.some(({ passing }) => passing.includes("unread")),
      };
    if (ours.length === 0 && !tables.some(({ now }) => now))
      return { verdict: "failed", evidence: ["the database has none of v6's tables"], figures };
    const uncounted = ours.length === 0 ? await notCounting(site.db) : undefined;
    if (uncounted) return { ...uncounted, evidence: [...uncounted.evidence, ...noneOf(figures.readRows)], figures };
    if (ours.length === 0) return { verdict: "passed", evidence: noneOf(figures.readRows), figures };
    const evidence = some([
      ...ours.map(({ shown, now }) => {
        const keys = (now?.keys ?? []).slice(0, 8).join(", ");
        return `${shown}: ${now?.ours ?? 0} rows are of a transaction of the ledger's${keys === "" ? "" : `: ${keys}`}`;
      }),
      ...unknown,
    ]);
    if (!wrapped)
      return {
        verdict: "failed",
        evidence,
        figures,
        ...faults,
        mend: [
          "see what writes to v6 where modules or data migrations write: a trigger on a table of v7, a rule, a module's own SQL",
        ],
      };
    return {
      verdict: "could not run",
      evidence: ["transaction ids have begun anew, and old rows may bear the id of a new transaction", ...evidence],
      figures,
      ...faults,
      mend: ["compare these rows with the backup's: npm run backups -- restore latest --table NAME"],
    };
  },
  foreseen: ({ db }) => notCounting(db),
};

/** Nor would a transaction of the migration's own that writes to v6 be rolled back then (engine/untouched.ts). */
async function notCounting(db: Queryable): Promise<Finding | undefined> {
  return (await countsRows(db))
    ? undefined
    : couldNotRun(
        "the server does not count what a transaction writes: track_counts is off",
        "switch track_counts on, which autovacuum needs too, before anything else goes up",
      );
}

const noneOf = (rows: number): string[] => [`none of ${rows} rows is of a transaction of the ledger's`];

/** Rows of ours by their keys; where not all of these are known, as many as they are. */
const rowsOf = ({ ours, keys }: Scanned = { rows: 0, ours: 0, keys: [] }): string[] =>
  keys.length === ours ? [...keys].sort() : [`${ours} rows, ${[...keys].sort().join(", ")}`];
