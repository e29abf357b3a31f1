import type { ChildProcess } from "node:child_process";

/** One ^C reaches us by several ways at once (terminal, npm, `timeout`): what comes within this time is one. */
const sameMs = 250;

/**
 * Passes signals to the engine and keeps this process alive until the engine has ended: the first SIGINT lets running
 * steps end, a second one ends it at once.
 * - On a terminal ^C goes to the engine by itself, being in the same process group; passing it on would count twice.
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
  const other = (signal: NodeJS.Signals): void => void engine.kill(signal);
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", other);
  process.on("SIGHUP", other);
  return () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", other);
    process.off("SIGHUP", other);
  };
}
