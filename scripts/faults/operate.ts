import { setTimeout as sleep } from "node:timers/promises";
import type { PulumiResult } from "../pulumi/run";
import type { Kill } from "./choices";
import type { Orphans } from "./orphans";
import { family } from "./processes";
import type { FaultServer } from "./server";
import type { FaultStack } from "./stack";
import { follow, strike, type Hit, type Running, type Timeline } from "./strike";
import type { Watch } from "./watch";

/** Whom and what an operation needs around it. */
export interface Scene {
  stack: FaultStack;
  server: FaultServer;
  watch: Watch;
  signal: AbortSignal;
  orphans: Orphans;
  /** How long a CLI may take, in milliseconds; tests have less. */
  patience?: number;
}

/** How an operation went, with all its tries. */
export interface Outcome {
  hits: Hit[];
  tries: number;
  /** The last try's own words, if even that one failed. */
  failed: string | undefined;
  /** What must not happen however it ends: a CLI that hung, processes that outlived theirs. */
  faults: string[];
}

/** An operator who has tried so often calls for help. */
const mostTries = 8;
/** A CLI that has not ended by then hangs, in milliseconds, beyond ten times what it takes undisturbed. */
const patience = 180_000;
/** A CLI that does not end after ^C is killed, in milliseconds. */
const stopPatience = 30_000;

/** Runs an operation that nobody disturbs. @throws Error with its output if it fails */
export async function undisturbed(scene: Scene, verb: "up" | "destroy"): Promise<Timeline> {
  const { result, beside } = await once(scene, unseen(verb), scene.patience ?? patience, (running) =>
    follow(scene.watch, running),
  );
  if (result.code !== 0) throw new Error(`undisturbed, pulumi ${verb} failed:\n${lastWords(result, 60)}`);
  return beside;
}

/**
 * Runs an operation as an operator types it, and nobody kills it.
 * @param limit milliseconds that it may take
 * @returns the seconds that it took, and the last words of one that failed or hung
 */
export async function typed(
  scene: Pick<Scene, "stack" | "signal" | "orphans">,
  verb: "up",
  limit: number,
): Promise<{ seconds: number; failed: string | undefined }> {
  const began = performance.now();
  const { result, hung } = await once(scene, [verb, "--yes"], limit, () => Promise.resolve());
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  if (hung) await scene.orphans.outlived();
  const why = hung ? `it had not ended after ${Math.round(limit / 1000)} s:\n` : "";
  return { seconds, failed: hung || result.code !== 0 ? `${why}${lastWords(result, 60)}` : undefined };
}

/** Nobody reads a preview of it. */
const unseen = (verb: "up" | "destroy"): string[] => [verb, "--yes", "--skip-preview"];

/** Runs an operation under kills, one for each of the first tries, and goes on as an operator would until it ends well. */
export async function disturbed(
  scene: Scene,
  verb: "up" | "destroy",
  kills: readonly Kill[],
  line: Timeline,
): Promise<Outcome> {
  const [hits, faults]: [Hit[], string[]] = [[], []];
  const limit = (scene.patience ?? patience) + 10 * line.duration;
  for (let tries = 1; ; tries++) {
    const kill = kills[tries - 1];
    const { result, beside, hung } = await once(scene, unseen(verb), limit, async (running) => {
      const hit = kill && (await strike(kill, line, running, scene));
      // At once: after ^C there is no later.
      if (hit) scene.orphans.note(hit.left);
      return hit;
    });
    if (beside) hits.push(beside);
    if (hung) faults.push(`pulumi ${verb} hung in try ${tries} and was killed after ${Math.round(limit / 1000)} s`);
    const failed = result.code === 0 ? undefined : lastWords(result, 40);
    if (failed === undefined || tries === mostTries) {
      faults.push(...(await scene.orphans.outlived()));
      return { hits, tries, failed, faults };
    }
    await recover(scene, tries);
  }
}

/**
 * What the messages tell an operator to do: cancel for the lock of a dead run, refresh for pending operations; and what
 * `npm run pulumi` does by itself.
 */
async function recover({ stack, signal }: Scene, tries: number): Promise<void> {
  await stack.mend();
  if (stack.locked) await stack.run(["cancel", "--yes"]);
  if (stack.pending > 0) {
    await stack.run(["refresh", "--clear-pending-creates", "--yes", "--skip-preview"]);
    if (stack.locked) await stack.run(["cancel", "--yes"]);
  }
  // Who meets a server that is just starting waits a little longer each time.
  await sleep(500 * (tries - 1));
  signal.throwIfAborted();
}

/** One run of the CLI with something that goes on beside it. */
async function once<T>(
  { stack, signal, orphans }: Pick<Scene, "stack" | "signal" | "orphans">,
  args: readonly string[],
  limit: number,
  beside: (running: Running) => Promise<T>,
): Promise<{ result: PulumiResult; beside: T; hung: boolean }> {
  signal.throwIfAborted();
  const timers: NodeJS.Timeout[] = [];
  let stop: (() => void) | undefined;
  let [ended, hung] = [false, false];
  let tell: (running: Running) => void = () => undefined;
  const started = new Promise<Running>((resolve) => (tell = resolve));
  const running = stack.run(args, (cli) => {
    const giveUp = (): void => {
      hung = true;
      if (cli.pid !== undefined) orphans.note(family(cli.pid).slice(1));
      cli.kill("SIGKILL");
    };
    timers.push(setTimeout(giveUp, limit));
    stop = () => {
      cli.kill("SIGINT");
      timers.push(setTimeout(giveUp, stopPatience));
    };
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    tell({ cli, began: performance.now(), ended: () => ended || cli.exitCode !== null || cli.signalCode !== null });
  });
  try {
    const aside = started.then(beside);
    aside.catch(() => undefined); // awaited below
    const result = await running;
    ended = true;
    orphans.parted();
    const value = await aside;
    signal.throwIfAborted();
    return { result, beside: value, hung };
  } finally {
    timers.forEach(clearTimeout);
    if (stop) signal.removeEventListener("abort", stop);
  }
}

function lastWords({ stdout, stderr }: PulumiResult, lines: number): string {
  return `${stdout}${stderr}`.trimEnd().split("\n").slice(-lines).join("\n");
}
