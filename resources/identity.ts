import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../engine/database";
import { GuardianError } from "../engine/base/errors";
import { stackOf } from "../engine/ledger/identity";
import { resourceId, type Step } from "../engine/ledger/steps";
import { mainStep, type DatabaseCall } from "./call";
import { pulumiCommand } from "../spec";

/** How long another call of the same run is waited for that has the id which stands, in milliseconds. */
const company = 2000;

/** Of each resource, the ids that Pulumi's state was seen to hold in this run. */
const seenBy = new WeakMap<Database, Map<string, Set<string>>>();

/** Notes that the state holds this id, by whatever call says so. */
export function see(call: DatabaseCall, id: string): void {
  const seen = seenBy.get(call.host) ?? new Map<string, Set<string>>();
  seenBy.set(call.host, seen);
  seen.set(call.urn, (seen.get(call.urn) ?? new Set()).add(id));
}

async function seenSoon(call: DatabaseCall, id: string): Promise<boolean> {
  const until = Date.now() + company;
  for (;;) {
    if (seenBy.get(call.host)?.get(call.urn)?.has(id)) return true;
    if (Date.now() > until || call.signal.aborted) return false;
    await sleep(20);
  }
}

/**
 * How an id of the state relates to what stands. `current`: it is that, or nothing stands. `superseded`: the state holds
 * a newer one besides, which is what stands: this one is left over from a replacement, and nothing belongs to it.
 * `outdated`: the state does not know the newer one; it is older than the database.
 * @throws GuardianError for a resource that was renamed in the state: it stands under another name
 */
export async function standingOf(call: DatabaseCall, id: string): Promise<"current" | "superseded" | "outdated"> {
  refuseRenamed(call, id);
  see(call, id);
  const current = currentId(call, await mainStep(call));
  if (current === undefined || current === id) return "current";
  return (await seenSoon(call, current)) ? "superseded" : "outdated";
}

/** @returns the id of what stands, undefined if nothing does */
export const currentId = (call: DatabaseCall, step: Step | undefined): string | undefined =>
  step && step.state !== "undone" ? resourceId(call.name, step) : undefined;

/** A state that was imported, or restored, from before the resource was made anew or taken over. */
export function outdated(call: DatabaseCall, id: string): GuardianError {
  return new GuardianError("state-outdated", {
    what: "this stack's state is older than the database: the resource was made anew, or taken over, since; nothing was changed",
    where: `${call.name}, ${id} in the state`,
    todo: "run refresh, which brings the state up to date, then this again",
  });
}

/**
 * An id begins with the name that the resource was made under; the ledger knows it by that one.
 * @throws GuardianError for a resource that was renamed in the state: it stands under another name
 */
export function refuseRenamed(call: DatabaseCall, id: string): void {
  const name = id.replace(/~\d+\.\d+$/, "");
  if (name === call.name) return;
  throw new GuardianError("not-in-ledger", {
    what: `this resource was renamed in the state: it was made as ${name}, and stands as that; nothing was changed`,
    where: `${call.urn}, ${id} in the state`,
    todo: [
      `give it its name back: ${pulumiCommand(`state rename '${call.urn}' ${name}`)}`,
      `if the state has ${name} besides: ${pulumiCommand(`state delete '${call.urn}'`)}, which changes nothing in the database`,
    ],
  });
}

export function notImported(call: DatabaseCall): GuardianError {
  return new GuardianError("import-refused", {
    what: "resources of this package cannot be imported: the ledger says what is there",
    where: call.name,
    todo: "run up: what the ledger says is done is adopted, not done again",
  });
}

export async function unknownToLedger(call: DatabaseCall): Promise<GuardianError> {
  const { ledger } = await call.host.whereabouts();
  const own = stackOf(call.urn);
  const id = ledger?.ledgerId ?? "<ledger id>";
  const anew = `${pulumiCommand("stack rm --force --preserve-config")}, ${pulumiCommand("stack init")}, ${pulumiCommand(`config set guardian:adopt ${id}`)}, then up, which adopts what is there`;
  if (!ledger || ledger.stack === own) {
    return new GuardianError("not-in-ledger", {
      what: "the ledger in this database knows nothing of this resource",
      where: call.urn,
      todo: `if the migration is to be this stack's, for good: ${anew}`,
    });
  }
  const [theirs, mine] = shortNames(ledger.stack, own);
  return new GuardianError("ledger-of-another-stack", {
    what: `the ledger has this migration under the stack ${theirs}, and this is ${mine}: either this stack was renamed, or ${theirs} took the migration over`,
    where: call.urn,
    todo: [
      `if it was renamed: ${pulumiCommand(`config set guardian:adopt ${id}`)}, then up, which writes the new name into the ledger (or back to the old one: ${pulumiCommand(`stack rename ${theirs}`)})`,
      `if ${theirs} took it over: use that stack`,
      `to take it from there, for good: ${anew}`,
    ],
  });
}

/** The names of two stacks; with their project where that alone differs. */
function shortNames(...stacks: [string, string]): [string, string] {
  const [one = "", other = ""] = stacks.map((stack) => stack.split("::")[0]);
  return one === other ? stacks : [one, other];
}
