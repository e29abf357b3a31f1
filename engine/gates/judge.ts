import { isDeepStrictEqual } from "node:util";
import { PhaseReport } from "../backup/progress";
import { utcNow } from "../backup/snapshot";
import { GuardianError } from "../base/errors";
import { hash } from "../base/hash";
import { first, type Queryable } from "../base/sql";
import type { Database, FencedWriter } from "../database";
import { attempt } from "../ledger/attempt";
import { addStep, detailOf, readStep, readSteps, setStep } from "../ledger/steps";
import { gates } from ".";
import { notApplicable, runCheck, type Check, type Cost, type Declared, type Outcome } from "./check";
import { breached, type OnBreach } from "./breach";
import { decide, refusalOf, type Decision, type Rules } from "./decide";
import { isWhole, type Said } from "./passed";
import { acceptedBefore, recordedBefore } from "./recorded";

/** What a stack declares of a gate. */
export interface WantedGate extends Rules {
  /** By name, of those that the gate has. */
  readonly checks: readonly string[];
  /** What it stands for: modules and data migrations by name, each with its meaning. */
  readonly judges: Readonly<Record<string, string>>;
  /** Flags that are on, with their percentage. */
  readonly rollout?: Readonly<Record<string, number>> | undefined;
  readonly declared: Declared;
  /** What becomes of the flags where one of the guide's criteria of rollback is met. */
  readonly onBreach?: OnBreach | undefined;
}

/** How a gate is asked. */
interface Asking {
  readonly host: Database;
  /** Whether the schema stage stands: what it is measured against is then not measured any more. */
  readonly schemaStands: boolean;
  /** Whether checks that read whole tables are asked anew; else what they said stands. */
  readonly passes: boolean;
  /** Whether it is asked though it said so already to the same: that is of too long ago, or incomplete. */
  readonly old: boolean;
  readonly signal: AbortSignal;
  /** Gets what is being asked, at least every 2 s. */
  readonly onAsk: (progress: { phase: string; seconds: number }) => void;
}

/** @returns the checks of a gate that are declared @throws GuardianError for a name that is none of its */
function checksOf({ gate, checks }: Pick<WantedGate, "gate" | "checks">): Check[] {
  const all: readonly Check[] = gates[gate];
  return checks.map((name) => {
    const found = all.find((check) => check.name === name);
    if (found) return found;
    throw new GuardianError("name-unknown", {
      what: `gate ${gate} has no check ${name}`,
      where: `gate ${gate}`,
      todo: `name one of ${all.map((check) => check.name).join(", ")}`,
    });
  });
}

/** Asks one check after the other. @throws GuardianError if the run was stopped meanwhile */
async function ask(
  checks: readonly Check[],
  wanted: WantedGate,
  { host, signal, onAsk }: Pick<Asking, "host" | "signal" | "onAsk">,
  known: (check: Check) => Outcome | undefined,
  before: ReadonlyMap<string, Outcome>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const report = new PhaseReport<string>(onAsk);
  try {
    for (const [i, check] of checks.entries()) {
      signal.throwIfAborted();
      const told = known(check);
      if (told) {
        outcomes.push(told);
        continue;
      }
      const name = `${check.name} (${i + 1} of ${checks.length})`;
      report.begin(name);
      const say = (text: string): void => report.begin(`${name}: ${text}`);
      outcomes.push(await runCheck(check, host, wanted.declared, before, { signal, say }));
    }
    signal.throwIfAborted();
    return outcomes;
  } finally {
    report.stop();
  }
}

/** What the gate judges, by what, and what is accepted: the same is asked once. */
const meaningOf = ({ checks, judges, rollout, declared, accept, strict }: WantedGate): string => {
  const { limits, signOff, endpoints } = declared;
  return hash({ checks, judges, rollout, limits, signOff, endpoints, accept, strict });
};

/**
 * Asks a gate, and keeps in the ledger what it said, whatever that is; one that said so already to the same is not asked,
 * unless that is old.
 * @returns what it said, and what is passed over though it does not pass
 * @throws GuardianError gate-failed
 */
export async function askGate(
  fenced: FencedWriter,
  wanted: WantedGate,
  asking: Asking,
): Promise<{ said: Said; decision: Decision | undefined }> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  const detail = detailOf(current, "Gate");
  const meaning = meaningOf(wanted);
  const told = current?.state === "done" && current.meaning === meaning && isWhole(detail);
  if (told && !asking.old) return { said: detail, decision: undefined };
  const checks = checksOf(wanted);
  const otherwise = current?.state === "done" ? "done" : "planned";
  // What was accepted holds though the gate was taken back meanwhile, and though this run is killed.
  const steps = await readSteps(fenced.writer);
  const accepted = acceptedBefore(steps, wanted, checks);
  const work = { kind: "Gate", state: "running", meaning, detail: { accepted } } as const;
  return attempt(fenced, work, otherwise, async (step) => {
    const before = recordedBefore(steps);
    const standing = new Map((current?.state === "undone" ? [] : (detail.outcomes ?? [])).map((o) => [o.check, o]));
    // A check that is a baseline in the gate before is run again by a later gate, which compares with that baseline.
    const known = {
      schemaStands: asking.schemaStands && wanted.gate === "before",
      // What the gate judges may have changed while it was passed by; Pulumi's state has the new meanings since then, so that
      // `asking` knows of no change.
      passes: asking.passes || detail.waived === true,
    };
    const outcomes = await ask(checks, wanted, asking, (check) => knownOf(check, standing, known), before);
    const judgedAt = await serverNow(fenced.writer);
    const decision = decide(checks, outcomes, wanted, accepted, judgedAt);
    const { verdict, accepted: accepts } = decision;
    const { gate, judges: judged } = wanted;
    const said: Said = { gate, verdict, judgedAt, waived: false, outcomes, judged, accepted: accepts };
    const refusal = refusalOf(wanted, decision, checks.length);
    await fenced.transaction((db) => setStep(db, step, { state: refusal ? "running" : "done", meaning, detail: said }));
    if (refusal) throw await breached(fenced, wanted, decision, refusal);
    return { said, decision };
  });
}

/**
 * What is known of a check without asking it.
 * @param standing what the gate said the last time, by the check's name
 */
export function knownOf(
  check: Check,
  standing: ReadonlyMap<string, Outcome>,
  { schemaStands, passes }: Pick<Asking, "schemaStands" | "passes">,
): Outcome | undefined {
  const last = standing.get(check.name);
  if (check.baseline && schemaStands) {
    const none = notApplicable("the schema stage stands already: nothing is measured any more as it was before it");
    return last ?? { check: check.name, ...none, seconds: 0 };
  }
  // What mends it, or was in its way, is no change of the stack's: what has not passed is asked again.
  const open = last?.verdict === "failed" || last?.verdict === "could not run";
  return check.cost === "pass" && !passes && !open ? last : undefined;
}

/**
 * Passes a gate by, on the way back or where nothing is to come; what it said before stays.
 * @returns that
 * @lazily
 */
export async function passBy(fenced: FencedWriter, { gate }: Pick<WantedGate, "gate">): Promise<Said> {
  const { urn, heldAs } = fenced.options;
  return fenced.transaction(async (db) => {
    const kept = detailOf(await readStep(db, urn), "Gate").accepted;
    const detail: Said = { gate, waived: true, ...(kept ? { accepted: kept } : {}) };
    const added = await addStep(db, { urn, kind: "Gate", state: "running", detail, heldAs });
    await setStep(db, added, { state: "done" });
    return added.detail;
  });
}

/**
 * Ends a gate: nothing of it is in the database but what it said.
 * @lazily
 */
export async function endGate(fenced: FencedWriter): Promise<void> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  if (!current || current.state === "undone") return;
  await fenced.transaction((db) => setStep(db, current, { state: "undone" }));
}

/**
 * Ends gates that failed and are not declared any more: Pulumi's state has none of them, and nobody deletes them.
 * @param mine whether a URN is that of one that goes
 * @lazily
 */
export async function endForsaken(fenced: FencedWriter, mine: (urn: string) => boolean): Promise<void> {
  await fenced.transaction(async (db) => {
    for (const { kind, urn, state } of await readSteps(db)) {
      if (kind !== "Gate" || (state !== "planned" && state !== "running") || !mine(urn)) continue;
      const ended = await addStep(db, { urn, kind, state: "undone" });
      await setStep(db, ended, { state: "undone" });
    }
  });
}

/** What preview can say of a gate: what its checks of the catalogue say now, and what would stop an `up`. */
export interface Foreseen {
  readonly outcomes: readonly Outcome[];
  /** Names of checks that only an `up` asks. */
  readonly later: readonly string[];
  readonly decision: Decision;
  readonly refusal: GuardianError | undefined;
}

/**
 * Asks in preview what costs the catalogue alone.
 * @param last what the gate said the last time
 * @lazily
 */
export async function foresee(
  wanted: WantedGate,
  asking: Pick<Asking, "host" | "signal" | "onAsk">,
  last: Said,
): Promise<Foreseen> {
  const cheap: Cost = "catalogue";
  const checks = checksOf(wanted);
  const [now, later] = [checks.filter(({ cost }) => cost === cheap), checks.filter(({ cost }) => cost !== cheap)];
  const steps = await asking.host.steps();
  const outcomes = await ask(now, wanted, asking, () => undefined, recordedBefore(steps));
  const accepted = acceptedBefore(steps, wanted, now);
  const decision = decide(now, outcomes, wanted, { ...last.accepted, ...accepted }, "");
  return {
    outcomes,
    later: later.map(({ name }) => name),
    decision,
    refusal: refusalOf(wanted, decision, checks.length),
  };
}

/**
 * Whether what a gate stands for, or is measured against, is another than in the state: then whole tables are read again.
 * @lazily
 */
export const judgesAnew = (
  now: Pick<WantedGate, "judges"> & { limits: Declared["limits"] },
  then: Pick<WantedGate, "judges"> & { limits: Declared["limits"] },
): boolean => !isDeepStrictEqual([now.judges, now.limits], [then.judges, then.limits]);

const serverNow = async (db: Queryable): Promise<string> =>
  (await first<{ now: string }>(db, `SELECT ${utcNow} AS now`))?.now ?? "";
