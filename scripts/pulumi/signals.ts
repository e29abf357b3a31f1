import type { ChildProcess } from "node:child_process";

/** One ^C reaches us by several ways at once (terminal, npm, `timeout`): what comes within this time is one. */
const sameMs = 250;

/** Signals that came while there was no engine to pass them to. */
export interface Held {
  /** The first of them. */
  readonly stopped: NodeJS.Signals | undefined;
  /** From now on signals do again what they did before. */
  release(): void;
}

/**
 * Keeps a signal from ending this process in the middle of something: of a stack that is being made, of a file that is
 * to be put right again afterwards.
 */
export function holdSignals(): Held {
  let stopped: NodeJS.Signals | undefined;
  const hold = (signal: NodeJS.Signals): void => void (stopped ??= signal);
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, hold);
  return {
    get stopped() {
      return stopped;
    },
    release: () => names.forEach((name) => process.off(name, hold)),
  };
}

/**
 * Passes signals to the engine and keeps this process alive until the engine has ended: the first SIGINT lets running
 * steps end, a second one ends it at once.
 * - On a terminal ^C goes to the engine by itself, being in the same process group; passing it on would count twice.
 * - SIGHUP would end the engine in the middle of a step; it is passed on as SIGINT.
 * - Elsewhere the engine is detached (see run.ts) and gets exactly what is passed on here.
 * @returns the function that ends it
 */
export function passSignals(engine: ChildProcess, terminal: boolean): () => void {
  let last = 0;
  const interrupt = (): void => {
    if (terminal || Date.now() - last < sameMs) return;
    last = Date.now();
    engine.kill("SIGINT");
  };
  const other = (signal: NodeJS.Signals): void => void engine.kill(signal === "SIGHUP" ? "SIGINT" : signal);
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", other);
  process.on("SIGHUP", other);
  return () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", other);
    process.off("SIGHUP", other);
  };
}
