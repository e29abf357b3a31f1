import { GuardianError } from "../../engine/base/errors";
import { stackOf } from "../../engine/ledger/identity";
import { detailOf, readSteps } from "../../engine/ledger/steps";
import type { Queryable } from "../../engine/base/sql";

/**
 * No change without a backup: the newest finished backup of this stack must have been taken for exactly this change.
 * @throws GuardianError if there is none
 */
export async function requireBackup(db: Queryable, urn: string, name: string, meaning: string): Promise<void> {
  const stack = stackOf(urn);
  const steps = await readSteps(db);
  // What was taken out since the backup was taken may have collected rows that are not in it.
  const undone = steps.find((step) => step.urn === urn && step.part === "" && step.state === "undone");
  const covered = steps.some((step) => {
    if (stackOf(step.urn) !== stack) return false;
    const { protects } = detailOf(step, "Backup");
    const later = !undone?.endedAt || Date.parse(step.endedAt ?? "") >= Date.parse(undone.endedAt);
    return step.state === "done" && protects?.[name] === meaning && later;
  });
  if (covered) return;
  throw new GuardianError("backup-missing", {
    what: `no backup was taken for this change of ${name}; nothing was changed`,
    where: urn,
    todo: "declare the Backup before it, with this module among its modules, and do not target around it (--target)",
  });
}
