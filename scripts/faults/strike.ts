import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kill, Victim } from "./choices";
import { family, kill as killProcess, type Process, pluginCommand, scratchCommand } from "./processes";
import type { FaultServer } from "./server";
import type { Watch } from "./watch";

/** How an undisturbed operation went, in milliseconds from its start. */
export interface Timeline {
  duration: number;
  /** When the plugin's first backend was there. */
  backend: number;
  /** Between the first and the last change of the data stage; 0 if the operation has none. */
  dataBegin: number;
  dataLength: number;
  /** How long the backup's proof took; 0 if the operation has none. */
  proofLength: number;
}

/** A kill that hit. */
export interface Hit {
  victim: Victim;
  /** Seconds since the operation's start. */
  seconds: number;
  /** What the ledger said was under way. */
  step: string;
  /** Processes of the operation that the kill did not reach: they should end by themselves. */
  left: Process[];
}

/** A running CLI. */
export interface Running {
  cli: ChildProcess;
  /** performance.now() at its start. */
  began: number;
  /** True when it has ended. */
  ended: () => boolean;
}

/** How often one looks, in milliseconds. */
const tick = 15;

/** Follows an operation that nobody disturbs. */
export async function follow(watch: Watch, { began, ended }: Running): Promise<Timeline> {
  const line: Timeline = { duration: 0, backend: 0, dataBegin: 0, dataLength: 0, proofLength: 0 };
  let proofBegin = 0;
  let data = (await watch.look()).data;
  while (!ended()) {
    const sight = await watch.look();
    const now = performance.now() - began;
    if (line.backend === 0 && sight.backends.length > 0) line.backend = now;
    if (sight.data !== data && sight.data !== undefined) {
      if (line.dataBegin === 0) line.dataBegin = now;
      else line.dataLength = now - line.dataBegin;
      data = sight.data;
    }
    if (sight.proving && proofBegin === 0) proofBegin = now;
    if (sight.proving) line.proofLength = now - proofBegin;
    await sleep(tick);
  }
  line.duration = performance.now() - began;
  return line;
}

/** Waits for the drawn instant of a running operation and kills. @returns undefined if the operation ended before */
export async function strike(
  kill: Kill,
  line: Timeline,
  running: Running,
  { watch, server }: { watch: Watch; server: FaultServer },
): Promise<Hit | undefined> {
  const { began, ended, cli } = running;
  const until = async (when: number): Promise<void> => {
    while (!ended() && performance.now() < when) await sleep(Math.max(1, Math.min(tick, when - performance.now())));
  };
  if (kill.inProof && line.proofLength > 0) {
    while (!ended() && !(await watch.look()).proving) await sleep(tick);
    await until(performance.now() + kill.at * line.proofLength);
  } else if (kill.inData && line.dataBegin > 0) {
    // Machines and runs differ in speed: the data stage is waited for, not reckoned. It begins when its steps change.
    let data: string | undefined;
    let begun = false;
    while (!begun && !ended()) {
      const now = (await watch.look()).data;
      begun = data !== undefined && now !== undefined && now !== data;
      data ??= now;
      if (!begun) await sleep(tick);
    }
    await until(performance.now() + kill.at * Math.max(line.dataLength, 2 * tick));
  } else {
    // Only the CLI takes part from the beginning.
    const from = kill.victim === "CLI" ? 0 : Math.min(line.backend, line.duration);
    await until(began + from + kill.at * (line.duration - from));
  }
  while (!ended()) {
    const { step, backends } = await watch.look();
    const seconds = (performance.now() - began) / 1000;
    // A zombie takes signals too, and is not hit: it is no longer in its family.
    const [itself, ...left] = cli.pid === undefined ? [] : family(cli.pid);
    if (!itself || ended()) break;
    if (await hit(kill, backends, cli, server)) return { victim: kill.victim, seconds, step, left };
    await sleep(tick);
  }
  return undefined;
}

async function hit(kill: Kill, backends: number[], cli: ChildProcess, server: FaultServer): Promise<boolean> {
  const one = (pids: readonly number[]): boolean => {
    // The fraction that chose the instant chooses among several as well.
    const pid = pids[Math.floor(kill.at * 1000) % pids.length];
    return pid !== undefined && killProcess(pid);
  };
  switch (kill.victim) {
    case "CLI":
      return cli.pid !== undefined && killProcess(cli.pid);
    case "plugin":
      return one(pidsOf(cli, pluginCommand));
    case "backend":
      return one(backends);
    case "server":
      return (await server.crash()) > 0;
    case "scratch":
      return one(pidsOf(cli, scratchCommand));
  }
}

/** Processes of a running CLI: the plugin's, or those of a scratch server. */
function pidsOf(cli: ChildProcess, which: RegExp): number[] {
  if (cli.pid === undefined) return [];
  return family(cli.pid).flatMap(({ pid, command }) => (which.test(command) ? [pid] : []));
}
