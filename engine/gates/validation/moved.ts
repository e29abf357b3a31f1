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
    const lines = standing.map((step) => {
      const { source = "0", equal = "0", failed = 0, leftOut = {} } = detailOf(step, "DataMigration");
      const offered = Number(source);
      const left = Object.entries(leftOut).filter(([, n]) => n > 0);
      figures.offeredRows += offered;
      figures.equalRows += Number(equal);
      figures.rejectedRows += failed;
      figures.rejectedShare = Math.max(figures.rejectedShare, failed / Math.max(1, offered));
      const said = [
        `${offered} rows offered, ${equal} written and equal`,
        ...(failed > 0 ? [`${failed} could not be moved`] : []),
        ...left.map(([reason, n]) => `${n} left out: ${reason}`),
      ];
      return `${step.urn.split("::").at(-1) ?? ""}: ${said.join(", ")}`;
    });
    const evidence = some(lines);
    if (figures.rejectedRows === 0) return { verdict: "passed", evidence, figures };
    return {
      verdict: figures.rejectedShare > declared.limits.maxDataLoss ? "failed" : "warned",
      evidence,
      figures,
      mend: [`SELECT * FROM ${rejectTable} names them; mend them in v6, then take the data stage back and up again`],
    };
  },
};
