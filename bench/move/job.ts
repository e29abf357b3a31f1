import { fork } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Login } from "../../scripts/v6/database";
import type { Observed } from "./observer";

/** What is to be run, once. */
export interface Job {
  login: Login;
  /** A data migration of sql/data. */
  migration: string;
  /** One INSERT … SELECT as the guide has it, or one that looks for rows first; or the product with so many workers. */
  how: "raw" | "looking" | 1 | 2;
}

/** What came of it; times in milliseconds. */
export interface Outcome extends Observed {
  totalMs: number;
  /** Rows written. */
  rows: number;
  /** Ledger batches that wrote them. */
  batches: number;
  /** Resident memory of this process at its highest, above what it had when idle, in MiB: the engine's, not the plugin's. */
  memoryMb: number;
  idleMb: number;
}

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
