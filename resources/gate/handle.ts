import { resolve } from "node:path";
import { stageType, type Stage } from "../../config/stages";
import { awaited, isAwaited, secondsSince } from "../../engine/backup/step/policy";
import type { Note } from "../../engine/base/plan";
import type { FencedWriter } from "../../engine/database";
import { couldRunAgain } from "../../engine/gates/check";
import type { WantedGate } from "../../engine/gates/judge";
import { cameAfter, lacking, refuseEarly, type Said } from "../../engine/gates/passed";
import { lazily } from "../../engine/lazy";
import { stackOf } from "../../engine/ledger/identity";
import { detailOf, readStep, readSteps, type Step, type StepOf } from "../../engine/ledger/steps";
import type { Changes } from "../../provider/diff";
import type { Inputs, State, Values } from "../../spec";
import { ledgerSteps, mainStep, type DatabaseCall } from "../call";
import { isFlagAhead } from "../flags-ahead";
import { handler, type Kind } from "../handler";
import { addsNow, goesBack } from "../way-back";
import { aheadNotes, askingLine, foreseenNotes, outcomeTexts, verdictText } from "./sentences";
import { gateSpec } from "./spec";

type Spec = typeof gateSpec;
type Outputs = Omit<Values<Spec["outputs"]>, "database">;

const kind: Kind<Spec> = {
  spec: gateSpec,

  // One that asks nothing would let everything pass.
  check({ checks }) {
    const none = Array.isArray(checks) && checks.length === 0;
    const failures = none ? [{ property: "checks", reason: "must name at least one check" }] : [];
    return Promise.resolve({ computed: {}, failures });
  },

  // What these say is asked of the server at the next time that something is to be asked.
  asked: ["through", "backup", "publications", "operators", "onBreach"],

  async plan(call, inputs, state) {
    const said = detailOf(await mainStep(call), "Gate");
    if (!(await isDue(call, inputs))) {
      const text = "nothing is asked: nothing that it stands before is to come";
      return { notes: [{ severity: "info", text }], ...(state ? { outputs: outputsOf(said) } : {}) };
    }
    return { notes: await notesOf(call, inputs, said) };
  },

  create: (call, inputs, fenced) => pass(call, inputs, undefined, fenced),
  update: pass,

  delete: (_call, _state, fenced) => lazily.gates.endGate(fenced),

  read: async (db, call) => outputsOf(detailOf(await readStep(db, call.urn), "Gate")),

  /** Reads the ledger's steps, which every resource's diff reads, and nothing else. */
  async drift(call, inputs): Promise<Changes> {
    const main = await mainStep(call);
    if (main?.kind !== "Gate" || main.state !== "done") return new Map();
    // As it will be old in up: a saved plan holds it to what preview says of it.
    const old = isOld(await ledgerSteps(call.host), main, inputs) || (inputs.gate === "end" && isFlagAhead(call));
    const due = old && (await isDue(call, inputs));
    return due ? new Map([["verdict", "drift"]]) : new Map();
  },
};

/**
 * Whether what it said is not what it would have to say: it has not passed for what is there or to come, as what comes after
 * it will ask; is of too long ago for that; or lacks what a check could not say for a reason that passes.
 */
function isOld(steps: readonly Step[], main: StepOf<"Gate">, { gate, judges, backup }: Inputs<Spec>): boolean {
  if (lacking(steps, main, gate, judges) !== undefined) return true;
  const { judgedAt = "", outcomes = [] } = main.detail;
  if (outcomes.some(couldRunAgain)) return true;
  return gate === "before" && !(secondsSince(judgedAt, main) <= backup.maxAgeSeconds);
}

/**
 * Whether it is asked at all: the way back waits for nobody. Before anything is changed, that is while something is still
 * to be added or changed; later, unless a later stage is taken back, and nothing is added in the same run.
 */
async function isDue(call: DatabaseCall, { gate, judges, through }: Inputs<Spec>): Promise<boolean> {
  if (gate === "before") return isAwaited(await ledgerSteps(call.host), call.urn, judges);
  return !(await goesBack(call, through)) || (await addsNow(call, judges));
}

async function pass(
  call: DatabaseCall,
  inputs: Inputs<Spec>,
  state: State<Spec> | undefined,
  fenced: FencedWriter,
): Promise<Outputs> {
  if (!(await isDue(call, inputs))) {
    call.log.info("nothing is asked: nothing that it stands before is to come");
    return outputsOf(await lazily.gates.passBy(fenced, inputs));
  }
  const steps = await readSteps(fenced.writer);
  refuseEarly(call.urn, inputs.gate, awaited(steps, call.urn, inputs.judges));
  const main = await readStep(fenced.writer, call.urn);
  const { said, decision } = await lazily.gates.askGate(fenced, wantedOf(inputs), {
    host: call.host,
    schemaStands: stands(steps, call, "schema"),
    passes:
      state === undefined ||
      lazily.gates.judgesAnew(inputs, state) ||
      (main !== undefined && cameAfter(steps, main, inputs.gate) !== undefined),
    old: main?.kind === "Gate" && isOld(steps, main, inputs),
    signal: call.signal,
    onAsk: tellingOf(call),
  });
  outcomeTexts(said, decision?.passedOver ?? [], inputs.accept).forEach((text) => call.log.warn(text));
  call.log.info(verdictText(said));
  return outputsOf(said);
}

/** Whether a module of a stage is applied. */
const stands = (steps: readonly Step[], call: DatabaseCall, stage: Stage): boolean =>
  steps.some(
    ({ kind, part, state, urn }) =>
      kind === "SqlModule" &&
      part === "" &&
      state === "done" &&
      stackOf(urn) === stackOf(call.urn) &&
      urn.includes(`::${stageType(stage)}$`),
  );

/** Says what is being asked once it takes a while: most checks are through before anybody could read their names. */
const tellingOf =
  (call: DatabaseCall) =>
  (progress: { phase: string; seconds: number }): void => {
    if (progress.seconds >= 1) call.log.status(askingLine(progress));
  };

/** What `up` would be told, as far as the catalogue says it now, or what is declared; a preview does not fail by it. */
async function notesOf(call: DatabaseCall, inputs: Inputs<Spec>, said: Said): Promise<Note[]> {
  const names = inputs.checks.length;
  const wanted = wantedOf(inputs);
  const asking = { host: call.host, signal: call.signal, onAsk: tellingOf(call) };
  const there = inputs.gate === "before" || !isAwaited(await ledgerSteps(call.host), call.urn, inputs.judges);
  if (!there) {
    const text = `${names} ${names === 1 ? "check is" : "checks are"} asked in up, once what it judges is there`;
    return [...aheadNotes(await lazily.foreseen.ahead(wanted, asking, [])), { severity: "info", text }];
  }
  const found = await lazily.gates.foresee(wanted, asking, said);
  const stopping = found.decision.stops.map(({ check }) => check.name);
  const ahead = await lazily.foreseen.ahead(wanted, asking, stopping);
  return [...aheadNotes(ahead), ...foreseenNotes(found, inputs.accept)];
}

function wantedOf({
  backup,
  publications,
  operators = [],
  limits,
  signOff = {},
  endpoints = [],
  ...inputs
}: Inputs<Spec>): WantedGate {
  const { directory, maxAgeSeconds, verify } = backup;
  const declared = {
    env: process.env,
    backup: { directory: resolve(directory), maxAge: maxAgeSeconds, verify },
    publications,
    operators,
    limits,
    strict: inputs.strict ?? false,
    signOff,
    endpoints,
  };
  return { ...inputs, declared };
}

/** What the ledger has, as the state has it. */
function outputsOf({ verdict, outcomes = [], accepted = {}, judgedAt = "" }: Said): Outputs {
  return {
    verdict: verdict ?? "not asked",
    outcomes: outcomes.map(({ check, verdict: came, evidence, figures = {}, seconds }) => {
      return { check, verdict: came, evidence: [...evidence], figures: { ...figures }, seconds };
    }),
    accepted: Object.keys(accepted),
    judgedAt,
  };
}

export const gateHandler = handler(kind);
