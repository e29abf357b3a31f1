import { GuardianError } from "../../base/errors";

/** Where a backup showed what is wrong with it. */
type Step = "listing" | "hash" | "restore" | "compare";

/** Names listed in full; of more there is the number. */
const named = 10;

/** A list of names for a sentence. */
export function listed(names: readonly string[]): string {
  const more = names.length > named ? `, ${names.length - named} more` : "";
  return names.slice(0, named).join(", ") + more;
}

/** The error for a backup that is not what it should be. @param what differs; names and counts only, no value of a row */
export function differs(step: Step, what: string, where: string): GuardianError {
  return new GuardianError("backup-differs", {
    what: `the backup is not proven, by its ${step}: ${what}`,
    where,
    todo: "keep it for inspection, and make a new backup",
  });
}

/** The same of what another check of ours found. */
export async function asDiffering<T>(step: Step, where: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (err) {
    if (err instanceof GuardianError && err.code === "backup-broken")
      throw differs(step, err.what.replace(/^the backup is broken: /, ""), where);
    throw err;
  }
}
