import { stackOf } from "../../ledger/identity";
import { detailOf, type Step } from "../../ledger/steps";
import { proofOf } from "../step/policy";
import type { NotedProof } from "./proof-file";
import { ownName, type BackupFolder } from "./read";

/** What the ledger says of the backups that it knows, each by the name of its folder: where that lies may change. */
export interface Relied {
  /** What relies on it, in words. */
  readonly on: ReadonlyMap<string, string>;
  readonly proofs: ReadonlyMap<string, NotedProof>;
  /** When runs began (timestamptz as text) that were cut off while they took one: it may be whole, and the next run takes it. */
  readonly unfinished: readonly string[];
}

const nameOf = (path: string): string => path.split(/[\\/]/).at(-1) ?? "";

/**
 * Finds what the ledger still relies on: of each stack the backup that was taken last, for changes that were or are to be
 * made after it (see requireBackup); not once it was undone. And the one that v6 is compared with, where a data stage that was cut off
 * left an older one.
 * @param steps the newest attempts of the whole ledger
 * @param first the folder of that one, by a backup's URN (see firstRelied)
 */
export function reliedOn(steps: readonly Step[], first: ReadonlyMap<string, string> = new Map()): Relied {
  const on = new Map<string, string>();
  const proofs = new Map<string, NotedProof>();
  const unfinished: string[] = [];
  for (const step of steps) {
    if (step.kind !== "Backup" || step.part !== "" || step.state === "undone") continue;
    const { path, protects = {}, refuted } = detailOf(step, "Backup");
    if (step.state !== "done") unfinished.push(step.startedAt);
    if (path === undefined) continue;
    const stack = stackOf(step.urn);
    const oldest = first.get(step.urn);
    if (oldest !== undefined) on.set(nameOf(oldest), `the data stage of ${stack}, which compares v6 with it`);
    const mine = steps.filter((one) => one.part === "" && one.state === "done" && stackOf(one.urn) === stack);
    const standing = new Map(mine.map((one) => [one.urn.split("::").at(-1) ?? "", one.meaning]));
    const open = Object.entries(protects).filter(([name, meaning]) => standing.get(name) !== meaning).length;
    const what = open > 0 ? `${open} ${open === 1 ? "change" : "changes"} to come` : "what stands";
    on.set(nameOf(path), `${what} of ${stack}`);
    const proof = proofOf(steps, step.urn);
    if (proof) proofs.set(nameOf(path), proof);
    else if (refuted === true)
      proofs.set(nameOf(path), {
        verdict: "not proven",
        unproven: [],
        restoreSeconds: 0,
        provenAt: "",
        why: "refuted",
      });
  }
  return { on, proofs, unfinished };
}

/**
 * What is known of a backup's proof: the ledger's word where there is one, else what its folder says; there too where a later
 * proof refuted it, of which `npm run backups -- verify` tells no ledger.
 */
export function provenBy({ name, proof: own }: BackupFolder, relied: Relied | undefined): NotedProof | undefined {
  const kept = relied?.proofs.get(ownName(name));
  // Both are UTC, ISO 8601.
  const refuted = own?.verdict === "not proven" && own.provenAt > (kept?.provenAt ?? "");
  return refuted ? own : (kept ?? own);
}
