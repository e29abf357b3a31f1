import { rejectTable } from "../../ledger/rejects";
import { readLedger } from "../../ledger/identity";
import { detailOf, readSteps } from "../../ledger/steps";
import { notApplicable, some, type Check } from "../check";

/**
 * Guide 3.3 and 8, "data migration 100 % complete": of the rows that v6 offered to each data migration, how many were compared
 * with it and found equal at its cut-over, were left out on purpose, or could not be moved. guardian:gates.maxDataLoss means the
 * same everywhere: the share of one table's rows, or of one migration's, that may be missing.
 */
export const moved: Check = {
  name: "moved",
  asks: "whether each data migration has moved all rows that v6 offered, but for those that it names",
  cost: "catalogue",
  worse: ["rejectedRows"],
  async run({ db, declared }) {
    const steps = (await readLedger(db)) ? await readSteps(db) : [];
    const standing = steps.filter((step) => step.kind === "DataMigration" && step.part === "" && step.state === "done");
    if (standing.length === 0) return notApplicable("no data migration is up");
    const figures = { offeredRows: 0, equalRows: 0, rejectedRows: 0, rejectedShare: 0 };
    const told = standing.map((step) => {
      const { source = "0", equal = "0", failed = 0, leftOut = {} } = detailOf(step, "DataMigration");
      const offered = Number(source);
      const left = Object.entries(leftOut).filter(([, n]) => n > 0);
      figures.offeredRows += offered;
      figures.equalRows += Number(equal);
      figures.rejectedRows += failed;
      const share = failed / Math.max(1, offered);
      figures.rejectedShare = Math.max(figures.rejectedShare, share);
      const said = [
        `${offered} rows offered, ${equal} written and equal`,
        ...(failed > 0 ? [`${failed} could not be moved`] : []),
        ...left.map(([reason, n]) => `${n} left out: ${reason}`),
      ];
      return { share, line: `${step.urn.split("::").at(-1) ?? ""}: ${said.join(", ")}` };
    });
    // What could not be moved is told first: a summary has one line of it.
    const evidence = some(told.sort((a, b) => b.share - a.share).map(({ line }) => line));
    if (figures.rejectedRows === 0) return { verdict: "passed", evidence, figures };
    return {
      verdict: figures.rejectedShare > declared.limits.maxDataLoss ? "failed" : "warned",
      evidence,
      figures,
      mend: [
        `SELECT * FROM ${rejectTable} names them; mend them in v6, then take the data stage back and up again`,
        `more than ${declared.limits.maxDataLoss} of a migration's rows stops up (guardian:gates.maxDataLoss)`,
      ],
    };
  },
};
