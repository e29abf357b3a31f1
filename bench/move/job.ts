import { fork } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Job, Outcome } from "./runner";

/**
 * Runs a job in a fresh process.
 * @throws Error with what it said, or that it ended without a word
 */
export function runJob(job: Job, signal: AbortSignal): Promise<Outcome> {
  const child = fork(join(__dirname, "runner.ts"), [], {
    execArgv: ["--expose-gc", "--require", createRequire(__filename).resolve("tsx/cjs")],
    signal,
  });
  return new Promise((resolve, reject) => {
    let answer: Outcome | { error: string } | undefined;
    child.once("message", (message: Outcome | { error: string }) => (answer = message));
    child.once("error", (err) => reject(err)); // the abort's reason comes so
    child.once("exit", (code) => {
      if (answer === undefined) reject(new Error(`the process that runs ${job.migration} ended (${code ?? "killed"})`));
      else if ("error" in answer) reject(new Error(`${job.migration}: ${answer.error}`));
      else resolve(answer);
    });
    child.send(job, (err) => err && reject(err));
  });
}
