import { rmSync } from "node:fs";
import type { Client } from "pg";
import { detailOf, readSteps } from "../../engine/ledger/steps";
import { readLedger } from "../../engine/ledger/identity";
import type { KeptOutcome } from "../../engine/ledger/details";
import { percentile } from "../../engine/migrate/workers/throttle/probe";
import { gateChecks, gateNames } from "../../spec/gates";
import { signOffs } from "../../spec/sign-offs";
import { withClient } from "../v6/database";
import { cleanLimits } from "./arguments";
import { freshStack, type Ground } from "./life";
import { Load, type Worked } from "./load";
import { typed } from "./operate";
import { asDev } from "./stack";

const verdicts = ["passed", "warned", "failed", "could not run", "not applicable"] as const;
type Verdict = KeptOutcome["verdict"];
type Counts = Partial<Record<Verdict, number>>;

/** The figures that are published. */
interface Figures {
  /** Runs in which `up` succeeded, every check of every gate was asked and none failed, and the application could work. */
  clean: number;
  /** That were asked for. */
  runs: number;
  /** Verdicts of all checks in all runs. */
  failed: number;
  warned: number;
  couldNotRun: number;
  /** Of each check that gate → check → verdict → in how many runs. */
  checks: Record<string, Record<string, Counts>>;
  /** Of the runs whose `up` succeeded; null where none did. */
  upSeconds: { median: number | null; most: number | null };
  /** Transactions of the application while `up` ran: committed, and not by reason. */
  transactions: number;
  refused: Worked["refused"];
}

export interface CleanReport {
  figures: Figures;
  /** A line of the table for each check of each gate. */
  table: Record<string, string | number>[];
}

export interface CleanPlan {
  runs: number;
  seed: string;
  say: (line: string) => void;
  /** Tests put a defect into each fresh v6. */
  plant?: ((client: Client) => Promise<void>) | undefined;
}

/** What a check said, and at which gate. */
interface Said extends KeptOutcome {
  gate: string;
}

/** An application that commits less than this in a second stands still, and is no load. */
const leastPerSecond = 1;

/** Runs `up` again and again, each time on a fresh v6 that an application uses, and counts what every check of every gate says. */
export async function cleanRuns(ground: Ground, plan: CleanPlan): Promise<CleanReport> {
  const { runs, say, seed, plant } = plan;
  const mostUp = cleanLimits.up * 1000;
  const until = performance.now() + mostUp + runs * cleanLimits.each * 1000;
  const all: Said[] = [];
  const [seconds, refused]: [number[], Worked["refused"]] = [[], {}];
  let [clean, transactions] = [0, 0];
  for (let n = 1; n <= runs; n++) {
    ground.signal.throwIfAborted();
    const left = until - performance.now();
    if (left <= 0) {
      say(`  ✗ the time is over after ${n - 1} of ${runs} runs`);
      break;
    }
    const { stack, folder } = await freshStack(ground, n, asDev());
    const { admin } = ground.server.logins;
    // As foundation/ and `npm run grants` have it.
    await withClient(admin, (client) => client.query("GRANT pg_read_all_stats TO guardian_migrator"));
    if (plant) await withClient(admin, plant);
    const load = new Load(admin, `${seed} ${n}`);
    load.start();
    const up = await typed({ ...ground, stack }, "up", Math.min(mostUp, left)).catch(async (err: unknown) => {
      await load.stop();
      throw err;
    });
    const worked = await load.stop();
    const said = await withClient(admin, whatWasSaid);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    const faults = faultsOf(up, worked, said);
    say(
      `${n}/${runs}  up ${up.seconds} s: ${tallied(said)}; the application committed ${worked.committed} transactions`,
    );
    faults.forEach((fault) => say(`  ✗ ${fault}`));
    said.filter(isOpen).forEach((one) => say(`  ? ${told(one)}`));
    all.push(...said);
    if (up.failed === undefined) seconds.push(up.seconds);
    transactions += worked.committed;
    for (const [state, count] of Object.entries(worked.refused)) refused[state] = (refused[state] ?? 0) + count;
    if (faults.length === 0) clean++;
  }
  const count = (verdict: Verdict): number => all.filter((one) => one.verdict === verdict).length;
  const of = (share: number): number | null => (seconds.length > 0 ? percentile(seconds, share) : null);
  const found = { failed: count("failed"), warned: count("warned"), couldNotRun: count("could not run") };
  const upSeconds = { median: of(0.5), most: of(1) };
  return {
    figures: { clean, runs, ...found, checks: countsOf(all), upSeconds, transactions, refused },
    table: tableOf(all),
  };
}

/** What each gate said, passed or not, as the ledger has it; nothing where `up` ended before there was a ledger. */
async function whatWasSaid(client: Client): Promise<Said[]> {
  const steps = (await readLedger(client)) ? await readSteps(client) : [];
  return steps.flatMap((step) => {
    const { gate = "", outcomes = [] } = step.kind === "Gate" ? detailOf(step, "Gate") : {};
    return outcomes.map((one) => ({ ...one, gate }));
  });
}

/** @returns a line for each reason why a run is not clean */
function faultsOf(up: Awaited<ReturnType<typeof typed>>, worked: Worked, said: readonly Said[]): string[] {
  const expected = gateNames.flatMap((gate) => gateChecks[gate].map((check) => ({ gate, check })));
  const lacking = expected.filter(({ gate, check }) => !said.some((one) => one.gate === gate && one.check === check));
  const stands = worked.committed < leastPerSecond * up.seconds;
  return [
    ...said.filter(({ verdict }) => verdict === "failed").map(told),
    ...(up.failed === undefined ? [] : [`up failed:\n${up.failed}`]),
    ...(up.failed === undefined ? lacking.map(({ gate, check }) => `gate ${gate}, ${check}: was not asked`) : []),
    ...Object.entries(worked.refused).map(([state, n]) => `the application was refused ${n} transactions: ${state}`),
    ...(stands ? ["the application stood still"] : []),
  ];
}

/** What is no failure, and to be looked at. Nobody signs anything off here. */
const isOpen = ({ check, verdict }: Said): boolean =>
  verdict === "could not run" || (verdict === "warned" && !(check in signOffs));

const told = ({ gate, check, verdict, evidence }: Said): string =>
  `gate ${gate}, ${check} ${verdict}: ${evidence.join("; ")}`;

const tallied = (said: readonly Said[]): string =>
  verdicts
    .map((verdict) => [said.filter((one) => one.verdict === verdict).length, verdict] as const)
    .filter(([n]) => n > 0)
    .map(([n, verdict]) => `${n} ${verdict}`)
    .join(", ") || "no check was asked";

function countsOf(all: readonly Said[]): Figures["checks"] {
  const checks: Figures["checks"] = {};
  for (const { gate, check, verdict } of all) {
    const counts = ((checks[gate] ??= {})[check] ??= {});
    counts[verdict] = (counts[verdict] ?? 0) + 1;
  }
  return checks;
}

function tableOf(all: readonly Said[]): CleanReport["table"] {
  const slowest = (gate: string, check: string): number =>
    Math.max(...all.filter((one) => one.gate === gate && one.check === check).map((one) => one.seconds));
  return Object.entries(countsOf(all)).flatMap(([gate, checks]) =>
    Object.entries(checks).map(([check, counts]) => ({
      ...{ gate, check },
      ...Object.fromEntries(verdicts.map((verdict) => [verdict, counts[verdict] ?? 0])),
      "most (s)": slowest(gate, check),
    })),
  );
}
