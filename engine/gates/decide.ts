import { pulumiCommand } from "../../spec";
import { keyOf } from "../../spec/accepted";
import type { Gate } from "../../spec/gates";
import { GuardianError } from "../base/errors";
import type { KeptAcceptance } from "../ledger/details";
import { othersThan } from "./faults";
import { readinessOf, some, type Check, type Outcome, type Readiness } from "./check";

/** What a stack declares of a gate's verdict. */
export interface Rules {
  readonly gate: Gate;
  /** Check → why it is accepted that it does not pass. */
  readonly accept?: Readonly<Record<string, string>> | undefined;
  /** Whether a check that could not run stops too. */
  readonly strict?: boolean | undefined;
}

/** A check that stops an `up`; `since`: it was accepted, and is worse now. */
interface Stop {
  readonly outcome: Outcome;
  readonly check: Check;
  readonly since?: { readonly kept: KeptAcceptance; readonly worse: readonly string[] };
}

/** What follows from what the checks of a gate said. */
export interface Decision {
  readonly verdict: Readiness;
  /** Check → what is accepted of it, from now on or from before. */
  readonly accepted: Record<string, KeptAcceptance>;
  /** What does not pass, and is accepted. */
  readonly passedOver: readonly Outcome[];
  readonly stops: readonly Stop[];
}

/**
 * Decides by what the checks said: a failed one stops, and one that could not run where nothing may be left open. One that
 * the operator accepts does not, as long as it is no worse than when he did.
 * @param before what was accepted the last time; who gives another reason accepts anew
 * @param now for what is accepted from now on, by the server's clock
 */
export function decide(
  checks: readonly Check[],
  outcomes: readonly Outcome[],
  { accept = {}, strict = false }: Rules,
  before: Readonly<Record<string, KeptAcceptance>>,
  now: string,
): Decision {
  const standing = Object.entries(before).filter(([name, { reason }]) => accept[name] === reason);
  const accepted = Object.fromEntries(standing);
  const [stops, passedOver]: [Stop[], Outcome[]] = [[], []];
  for (const outcome of outcomes) {
    if (outcome.verdict !== "failed" && !(strict && outcome.verdict === "could not run")) continue;
    const check = checks.find(({ name }) => name === outcome.check);
    if (!check) continue;
    const [reason, kept] = [accept[check.name], accepted[check.name]];
    const worse = kept ? worseThan(check, kept, outcome) : [];
    if (reason === undefined) stops.push({ outcome, check });
    else if (kept && worse.length > 0) stops.push({ outcome, check, since: { kept, worse } });
    else {
      accepted[check.name] = kept ?? acceptanceOf(outcome, reason, now);
      passedOver.push(outcome);
    }
  }
  const told = outcomes.map((one) => (passedOver.includes(one) ? ({ ...one, verdict: "warned" } as const) : one));
  return { verdict: stops.length > 0 ? "not ready" : readinessOf(told), accepted, passedOver, stops };
}

const acceptanceOf = ({ figures = {}, evidence, faults }: Outcome, reason: string, at: string): KeptAcceptance => {
  return { reason, at, figures, evidence, ...(faults ? { faults } : {}) };
};

/** A line without its numbers; a code of the server's is none. */
const wordsOf = (line: string): string => line.replace(/(?<!SQLSTATE )\b\d+\b/g, "");

/**
 * @returns what is worse than it was accepted: figures that are higher, faults that are others though no more. Where neither
 *   says it, or faults are named by the evidence, what is new of that
 */
function worseThan({ worse = [], named }: Check, kept: KeptAcceptance, outcome: Outcome): string[] {
  const { verdict, figures = {}, evidence } = outcome;
  const measured = worse.filter((name) => name in figures || name in kept.figures);
  // Of many faults the evidence tells some.
  if (measured.length === 0 && outcome.faults) return othersThan(kept.faults, outcome.faults);
  if (measured.length === 0) return evidence.filter((line) => !kept.evidence.includes(line));
  const known = kept.evidence.map(wordsOf);
  const others = named && verdict === "failed" ? evidence.filter((line) => !known.includes(wordsOf(line))) : [];
  const more = measured.flatMap((name) => {
    const [then, now] = [kept.figures[name], figures[name]];
    if (now !== undefined && then !== undefined && now <= then) return [];
    return [`${name} was ${then ?? "not measured"}, and is ${now ?? "not measured"} now`];
  });
  return [...more, ...others, ...othersThan(kept.faults, outcome.faults)];
}

/** What a gate that fails leaves undone, and how to go back from there: by the last stage that is to stay. */
const boundaries: Record<Gate, { readonly kept: string; readonly back: string | undefined }> = {
  before: { kept: "no module was applied", back: undefined },
  schema: { kept: "the data stage was not begun", back: "infrastructure" },
  data: { kept: "the deployment stage was not begun", back: "schema" },
  end: { kept: "the session is not completed", back: "data" },
};

/**
 * @param asked how many checks the gate has
 * @returns the error with what failed, measured against what, and the ways on; undefined where nothing stops
 */
export function refusalOf({ gate, strict }: Rules, { stops }: Decision, asked: number): GuardianError | undefined {
  if (stops.length === 0) return undefined;
  const { kept, back } = boundaries[gate];
  const names = stops.map(({ check }) => check.name);
  const open = strict === true && stops.some(({ outcome }) => outcome.verdict === "could not run");
  return new GuardianError("gate-failed", {
    what: `gate ${gate}: ${stops.length} of ${asked} checks did not pass (${names.join(", ")}); ${kept}`,
    where: `gate ${gate}\n    ${stops.flatMap(stopLines).join("\n    ")}`,
    todo: [
      ...stops.flatMap(({ outcome, check }) => (outcome.mend ?? []).map((one) => `mend ${check.name}: ${one}`)),
      ...(stops.some(({ outcome }) => (outcome.mend ?? []).length === 0) ? ["mend what is named, then up again"] : []),
      ...stops.flatMap(({ check, since }) => {
        if (check.refused !== undefined) return [];
        const again = since ? "with another reason, as it is now" : "as it is now, with a reason";
        return `accept ${check.name} ${again}: ${pulumiCommand(`config set --path '${keyOf(check.name)}' 'why'`)}, then up`;
      }),
      ...(open ? ["guardian:strict is set: what could not run stops too"] : []),
      back === undefined
        ? `roll back what earlier runs made: ${pulumiCommand("destroy")}`
        : `roll back: ${pulumiCommand(`config set guardian:through ${back}`)}, then up, which asks no gate`,
    ],
  });
}

function stopLines({ outcome, check, since }: Stop): string[] {
  return [
    `${check.name} (${check.asks}) ${outcome.verdict}:`,
    ...outcome.evidence.map((line) => `  ${line}`),
    ...(since
      ? [
          `  it was accepted on ${since.kept.at.slice(0, 16)} (${JSON.stringify(since.kept.reason)}), and is worse since:`,
          ...some(since.worse).map((line) => `    ${line}`),
        ]
      : []),
  ];
}
