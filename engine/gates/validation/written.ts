import { some, type Check } from "../check";
import { passOf } from "./pass";

/**
 * That the migration wrote nothing to v6: no row of v6's tables was written by a transaction that the ledger bears a mark of
 * (ledger/transactions.ts says which these are, and which are not seen). By xmin and no other means: pg_xact_commit_timestamp
 * is off where nobody asked for it, a trigger of ours would itself be a change of v6, and what a transaction has counted in
 * pg_stat_xact_user_tables is gone with it.
 *
 * A row keeps its xmin when it is frozen, so that a very old one may bear an id that was given again. Where ids have begun
 * anew (2^32 of them), such a row cannot be told from one of ours, and the check says so: the more the migration has written,
 * the surer it is that some row does.
 *
 * What it does not see: a row that was written in a subtransaction (a PL/pgSQL block with EXCEPTION) bears another id. A deletion
 * leaves no row, and v6-rows does not find it either: the server counts it among those of the application.
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
    const figures = {
      readRows: tables.reduce((sum, { now }) => sum + (now?.rows ?? 0), 0),
      writtenRows: ours.reduce((sum, { now }) => sum + (now?.ours ?? 0), 0),
      unknownTables: tables.filter(({ unread }) => unread !== undefined).length,
    };
    const unknown = tables.flatMap(({ shown, unread }) =>
      unread === undefined ? [] : [`${shown}: not read: ${unread}`],
    );
    if (ours.length === 0 && unknown.length > 0)
      return {
        verdict: "could not run",
        evidence: some(unknown),
        figures,
        mend: ["ask again once nobody holds a lock on these tables"],
      };
    if (ours.length === 0)
      return {
        verdict: "passed",
        evidence: [`none of ${figures.readRows} rows is of a transaction of the ledger's`],
        figures,
      };
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
        mend: [
          "see what writes to v6 where modules or data migrations write: a trigger on a table of v7, a rule, a module's own SQL",
        ],
      };
    return {
      verdict: "could not run",
      evidence: ["transaction ids have begun anew, and old rows may bear the id of a new transaction", ...evidence],
      figures,
      mend: ["compare these rows with the backup's: npm run backups -- restore latest --table NAME"],
    };
  },
};
