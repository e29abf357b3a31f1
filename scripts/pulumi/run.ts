import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { engineArguments, parse } from "./arguments";
import { findEngine } from "./engine";
import type { Program } from "./program";

export interface PulumiOptions {
  /** The project's folder; -C among the arguments wins. */
  cwd: string;
  /** The whole environment of the engine, and of plugins; default: this process's. */
  env?: NodeJS.ProcessEnv;
  /** Path of the engine; default: what findEngine answers. */
  engine?: string;
  /** Served inline to the commands that run the program; without it the engine starts its own language host. */
  program?: Program;
  /** `inherit` (default) shows the engine's own live output, `pipe` collects it. */
  stdio?: "inherit" | "pipe";
  /** With `pipe`: each piece of output as it comes. */
  onOutput?: (text: string, stream: "stdout" | "stderr") => void;
  /** Gets the engine's process when it runs: to kill it, or to pass signals. */
  onStart?: (engine: ChildProcess) => void;
  /** Abort is ^C to the engine: it lets running steps end and saves its state. */
  signal?: AbortSignal;
  /** The engine leads a process group of its own, so that it gets only the signals that are sent to itself. */
  detached?: boolean;
}

export interface PulumiResult {
  /** Exit code; 128 + number of the signal that ended it (as a shell says it). */
  code: number;
  /** Empty with `inherit`. */
  stdout: string;
  stderr: string;
}

/**
 * Runs the real CLI: `pulumi(["up", "--yes"], {cwd, env, program})`. A failed command is a code, not an exception.
 * @throws GuardianError if there is no engine
 */
export async function pulumi(args: readonly string[], options: PulumiOptions): Promise<PulumiResult> {
  const line = parse(args, options.cwd);
  const env = options.env ?? process.env;
  const engine = options.engine ?? (await findEngine({ env })).path;
  const start = (address?: string): Promise<PulumiResult> =>
    run(engine, engineArguments(line, address), { ...options, env, cwd: line.folder ?? options.cwd });
  if (!line.operation || !options.program) return start();
  // Loaded only here: Pulumi's SDK takes a second, which `stack ls` or `config set` would wait for in vain.
  const { withInlineServer } = createRequire(__filename)("./inline") as typeof import("./inline");
  return withInlineServer(options.program, start);
}

function run(engine: string, args: string[], options: PulumiOptions & { env: NodeJS.ProcessEnv }) {
  return new Promise<PulumiResult>((resolve, reject) => {
    const pipe = options.stdio === "pipe";
    const child = spawn(engine, args, {
      cwd: options.cwd,
      // Go trusts PWD where it names the working directory; the engine keys its stack selection by that path.
      env: { ...options.env, PWD: options.cwd },
      stdio: pipe ? ["ignore", "pipe", "pipe"] : "inherit",
      detached: options.detached ?? false,
    });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        out[stream] += text;
        options.onOutput?.(text, stream);
      });
    }
    const interrupt = (): void => void child.kill("SIGINT");
    options.signal?.addEventListener("abort", interrupt);
    child.once("spawn", () => {
      options.onStart?.(child);
      if (options.signal?.aborted) interrupt();
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      options.signal?.removeEventListener("abort", interrupt);
      resolve({ code: code ?? 128 + (signal ? constants.signals[signal] : 0), ...out });
    });
  });
}
