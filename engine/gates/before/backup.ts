import { isAwaited, mayRely, proofOf, secondsSince } from "../../backup/step/policy";
import { readLedger } from "../../ledger/identity";
import { detailOf, readSteps } from "../../ledger/steps";
import { notApplicable, type Check } from "../check";

/** Guide 1.2 and 6.1, "backup verified": the newest backup of this database, what its restore has shown, and its age. */
export const backup: Check = {
  name: "backup",
  asks: "whether the newest backup was restored and compared, and is young enough to serve a change",
  cost: "catalogue",
  worse: ["unproven"],
  async run({ db, declared }) {
    const steps = (await readLedger(db)) ? await readSteps(db) : [];
    const taken = steps
      .filter((step) => step.kind === "Backup" && step.part === "" && step.state === "done")
      .sort((a, b) => Number(b.id) - Number(a.id))[0];
    if (!taken) return notApplicable("none was taken yet: up takes and proves one before it changes anything");
    const { path = "", takenAt = "", protects = {} } = detailOf(taken, "Backup");
    if (!isAwaited(steps, taken.urn, protects))
      return notApplicable(
        "what the newest was taken for is applied: up takes and proves another before it changes more",
      );
    const proof = proofOf(steps, taken.urn);
    const age = Math.round(secondsSince(proof?.provenAt ?? takenAt, taken));
    const of = proof ? { restoreSeconds: proof.restoreSeconds, unproven: proof.unproven.length } : {};
    const figures = { ageSeconds: age, ...of };
    const evidence = [
      `${path}: ${proof?.verdict ?? "not proven"}, ${age} s old; a change wants at most ${declared.backup.maxAge} s`,
    ];
    const old = age > declared.backup.maxAge;
    if (mayRely(proof) && !old) return { verdict: "passed", evidence, figures };
    return {
      verdict: proof && !mayRely(proof) ? "failed" : "warned",
      evidence: [...evidence, ...(proof?.unproven ?? []).slice(0, 8).map(({ table, reason }) => `${table}: ${reason}`)],
      figures,
      mend: ["the next up that changes something takes and proves another; nothing is to be done for it"],
    };
  },
};
