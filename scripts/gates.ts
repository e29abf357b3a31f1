import { join, resolve } from "node:path";
import type { GuardianConfig } from "../config";
import { resolveConnection } from "../engine/connect";
import { Database } from "../engine/database";
import { GuardianError } from "../engine/base/errors";
import { gates } from "../engine/gates";
import { criteriaLines, summarize } from "../engine/gates/criteria/summary";
import {
  couldNotRun,
  runCheck,
  tally,
  type Check,
  type Declared,
  type Outcome,
  type Readiness,
} from "../engine/gates/check";
import { decide, type Decision } from "../engine/gates/decide";
import { acceptedBefore, outcomesOf, recordedGates, type Recorded } from "../engine/gates/recorded";
import type { Gate } from "../spec/gates";
import * as commands from "./command";
import { json, type Values } from "./command/description";
import { usage } from "./command/parse";
import { readKeys, selectedHere } from "./purge/stack";

const names = Object.keys(gates) as Gate[];
const longest = Math.max(...Object.values(gates).flatMap((checks) => checks.map(({ name }) => name.length)));

const options = {
  stack: { value: "NAME", about: "whose configuration and database are meant (default: the stack that is selected)" },
  cwd: {
    value: "FOLDER",
    short: "C",
    about: "the project's folder, which has Pulumi.NAME.yaml (default: this clone)",
  },
  stage: {
    value: "NAME",
    about:
      "before: only what must be so before the schema stage; schema, data: after that stage; end: at the end (default: all)",
  },
  json,
} as const;

const command = {
  name: "npm run gates",
  purpose: "asks the database every question that a gate asks, and says what is ready and what is not",
  about: `It leaves nothing behind: it reads catalogue, statistics, and counts of tables of up to 200,000 rows, runs the
application's own reading queries for a tenth of its time, and calls v7's functions in transactions that are never committed. It
may run at any time, also while the application works, and needs no Pulumi. A check that could not run has not passed: it is a
warning, and not ready where guardian:strict is true. What guardian:accept names is decided as up decides it. Of what reads whole
tables it says what the last up found.`,
  options,
  notes: Object.entries(gates)
    .map(([gate, checks]) => [`${gate}:`, ...checks.map(({ name, asks }) => `  ${name.padEnd(longest)} ${asks}`)])
    .flat()
    .join("\n"),
  exits: {
    "0": "ready: every check passed, or does not apply",
    "1": "not ready, or the command failed",
    "3": "ready with warnings",
    "130": "stopped by ^C",
  },
};

const exits: Readonly<Record<Readiness, number>> = { ready: 0, "not ready": 1, "ready with warnings": 3 };

/** Where the command works and speaks; tests have their own. */
interface Surroundings extends commands.Surroundings {
  /** The project whose stack it is, unless --cwd names another. */
  clone: string;
  env: NodeJS.ProcessEnv;
}

const terminal: Surroundings = { ...commands.terminal, clone: join(__dirname, ".."), env: process.env };

/** Runs the command; returns the exit code that --help explains. */
export function main(args: readonly string[], around: Surroundings = terminal): Promise<number> {
  return commands.run(command, args, around, (given) => ask(given, around));
}

async function ask(given: Values<typeof options>, around: Surroundings): Promise<number> {
  const { say, print, signal } = around;
  const tell = given.json ? say : print;
  const chosen = names.filter((name) => given.stage === undefined || name === given.stage);
  if (chosen.length === 0) throw usage(command, `--stage must be one of ${names.join(", ")}`);
  if (given.stack !== undefined && !/^[\w.-]+$/.test(given.stack))
    throw usage(command, "--stack must be a stack's name");
  const folder = given.cwd === undefined ? around.clone : resolve(given.cwd);
  const stack = given.stack ?? selectedHere(folder, around.env);
  const config = readKeys(folder, stack, [
    "database",
    "backup",
    "publications",
    "operators",
    "gates",
    "strict",
    "accept",
    "signOff",
    "endpoints",
  ]);
  const settings = resolveConnection(config.database, around.env);
  settings.warnings.forEach(say);
  const { directory, maxAge, verify } = config.backup;
  const declared: Declared = {
    env: around.env,
    backup: { directory: resolve(folder, directory), maxAge, verify },
    publications: Object.keys(config.publications),
    operators: Object.keys(config.operators),
    limits: config.gates,
    strict: config.strict,
    signOff: config.signOff,
    endpoints: config.endpoints,
  };
  const host = new Database(settings);
  try {
    // One that is not there answers no check: it is one error, and not one for each of them.
    await host.server();
    say(`stack ${stack}, ${settings.explain()}`);
    const steps = await host.steps();
    const recorded = recordedGates(steps);
    const before = outcomesOf(recorded.get("before"));
    const outcomes: Outcome[] = [];
    for (const check of new Set(chosen.flatMap((gate) => [...gates[gate]]))) {
      if (check.cost === "pass") continue;
      if (signal?.aborted) throw new GuardianError("interrupted", { what: "stopped; nothing was written" });
      const outcome = await runCheck(check, host, declared, before, signal ? { signal } : {});
      outcomes.push(outcome);
      lines(outcome).forEach(tell);
    }
    const all = chosen.flatMap((gate): readonly Check[] => gates[gate]);
    const accepted = acceptedBefore(steps, config, all);
    const decisions = chosen.map((gate) => decisionOf(gate, outcomes, recorded.get(gate), { ...config, accepted }));
    const told = chosen.flatMap((gate) => toldOf(gate, outcomes, recorded.get(gate)).map(dated(recorded.get(gate))));
    for (const outcome of told) lines(outcome).forEach(tell);
    outcomes.push(...told);
    new Set(decisions.flatMap((decision) => acceptedLines(decision, config.accept))).forEach((line) => tell(line));
    const verdict = worst(decisions);
    const criteria = summarize(outcomes);
    if (chosen.includes("end")) criteriaLines(criteria).forEach(tell);
    const over = new Set(decisions.flatMap(({ passedOver }) => passedOver.map(({ check }) => check)));
    const checks = outcomes.map((one) => (over.has(one.check) ? { ...one, accepted: config.accept[one.check] } : one));
    tell(`${verdict}: ${tally(checks.map((one) => ("accepted" in one ? { verdict: "accepted" } : one)))}`);
    if (given.json) print(JSON.stringify({ stack, verdict, checks, criteria }));
    return exits[verdict];
  } finally {
    await host.close();
  }
}

/**
 * What the last `up` found by reading whole tables. Where data was moved and no `up` has asked since, that could not run: who is
 * told nothing of it takes it for passed. Nothing where no data was moved.
 */
function toldOf(gate: Gate, asked: readonly Outcome[], recorded: Recorded | undefined): Outcome[] {
  const checks: readonly Check[] = gates[gate];
  const said = recorded?.detail.waived === true ? new Map<string, Outcome>() : outcomesOf(recorded);
  const stands = asked.some(({ check, verdict }) => check === "moved" && verdict !== "not applicable");
  const none = (check: string): Outcome[] => (stands ? [{ check, ...notAsked, seconds: 0 }] : []);
  return checks.flatMap(({ name, cost }) => (cost === "pass" ? (said.get(name) ?? none(name)) : []));
}

const notAsked = couldNotRun(
  "it reads whole tables, and no up has asked it since the data stage stands",
  "up asks it when its stage changes, or with another of guardian:gates",
);

const dated =
  (recorded: Recorded | undefined) =>
  (outcome: Outcome): Outcome =>
    outcome.evidence === notAsked.evidence
      ? outcome
      : {
          ...outcome,
          evidence: [...outcome.evidence, `as up last said, ${recorded?.detail.judgedAt?.slice(0, 16) ?? ""}`],
        };

/** What an `up` would decide of a gate now, by what was accepted of it so far. */
function decisionOf(
  gate: Gate,
  asked: readonly Outcome[],
  recorded: Recorded | undefined,
  {
    accept,
    strict,
    accepted,
  }: Pick<GuardianConfig, "accept" | "strict"> & { accepted: ReturnType<typeof acceptedBefore> },
): Decision {
  const checks: readonly Check[] = gates[gate];
  const own = asked.filter((outcome) => checks.some(({ name }) => name === outcome.check));
  const outcomes = [...own, ...toldOf(gate, own, recorded)];
  const may = ([name]: [string, string]): boolean => !checks.some((one) => one.name === name && one.refused);
  const passing = Object.fromEntries(Object.entries(accept).filter(may));
  return decide(checks, outcomes, { gate, accept: passing, strict }, accepted, "");
}

/** What is passed over because it is accepted, and what was accepted and is worse. */
const acceptedLines = ({ passedOver, stops }: Decision, accept: Readonly<Record<string, string>>): string[] => [
  ...passedOver.map(({ check }) => `${"accepted".padEnd(14)}  ${check}: ${JSON.stringify(accept[check] ?? "")}`),
  ...stops.flatMap(({ check, since }) => {
    const why = since ? `it is worse than when it was accepted: ${since.worse.join("; ")}` : check.refused;
    return why !== undefined && check.name in accept ? [`${"not accepted".padEnd(14)}  ${check.name}: ${why}`] : [];
  }),
];

const worst = (decisions: readonly Decision[]): Readiness =>
  (["not ready", "ready with warnings"] as const).find((one) => decisions.some(({ verdict }) => verdict === one)) ??
  "ready";

/** A check as people read it: what it came to, what was seen, and of what did not pass what mends it. */
function lines({ check, verdict, evidence, mend = [] }: Outcome): string[] {
  const passed = verdict === "passed" || verdict === "not applicable";
  return [
    `${verdict.padEnd(14)}  ${check}: ${evidence.join("; ")}`,
    ...(passed ? [] : mend.map((one) => `${" ".repeat(16)}→ ${one}`)),
  ];
}

if (require.main === module)
  commands.endWith(main(process.argv.slice(2), { ...terminal, signal: commands.stopSignal() }));
