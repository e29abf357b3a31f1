import type { Note } from "../../engine/base/plan";
import { shown } from "../../engine/base/names";
import { tally, type Outcome } from "../../engine/gates/check";
import type { Foreseen } from "../../engine/gates/judge";
import type { Said } from "../../engine/gates/passed";

/* What a gate's checks said becomes a sentence beside it; resources/sentences.ts has those of all other kinds. */

type Accept = Readonly<Record<string, string>> | undefined;

/** @returns the line beside a gate that is being asked */
export const askingLine = ({ phase, seconds }: { phase: string; seconds: number }): string =>
  `asking ${shown(phase)}, ${seconds.toFixed(0)} s`;

/** @returns what all checks together came to */
export function verdictText({ verdict = "not ready", outcomes = [] }: Said): string {
  const seconds = outcomes.reduce((sum, one) => sum + one.seconds, 0);
  return `${verdict}: ${tally(outcomes)}; asked in ${seconds.toFixed(1)} s`;
}

/** @returns a warning for each check that did not pass, and lets the run go on all the same */
export function outcomeTexts(
  { outcomes = [] }: Pick<Said, "outcomes">,
  passedOver: readonly Pick<Outcome, "check">[],
  accept: Accept = {},
): string[] {
  return outcomes.flatMap((outcome) => {
    const { check, verdict, evidence, mend = [] } = outcome;
    const over = passedOver.some((one) => one.check === check);
    if (!over && verdict !== "warned" && verdict !== "could not run") return [];
    const why = over ? `, and is accepted: ${JSON.stringify(accept[check] ?? "")}` : "";
    const mends = over || mend.length === 0 ? "" : `; to mend it: ${mend.join("; ")}`;
    return [`${check} ${verdict}${why}: ${evidence.join("; ")}${mends}`];
  });
}

/** @returns what preview says of a gate that `up` will stop at, whatever becomes of what it judges */
export const aheadNotes = (refusal: { readonly message: string } | undefined): Note[] =>
  refusal ? [{ severity: "warning", text: `up will stop at this gate: ${refusal.message}` }] : [];

/** @returns what preview says: what `up` would stop at comes first, and what it would warn of */
export function foreseenNotes({ outcomes, later, decision, refusal }: Foreseen, accept: Accept): Note[] {
  const stopping = decision.stops.map(({ outcome }) => outcome.check);
  const others = outcomes.filter(({ check }) => !stopping.includes(check));
  const warnings = [
    ...(refusal ? [`up will stop here: ${refusal.message}`] : []),
    ...outcomeTexts({ outcomes: others }, decision.passedOver, accept),
  ];
  const now = outcomes.length === 0 ? [] : [`now ${decision.verdict}: ${tally(outcomes)}`];
  const then = later.length === 0 ? [] : [`in up it asks besides: ${later.join(", ")}`];
  return [
    ...warnings.map((text) => ({ severity: "warning", text }) as const),
    ...[...now, ...then].map((text) => ({ severity: "info", text }) as const),
  ];
}
