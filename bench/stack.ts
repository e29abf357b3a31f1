import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { GuardianError } from "../engine/errors";
import type { Program } from "../scripts/pulumi/inline";
import { pulumi } from "../scripts/pulumi/run";

export interface BenchStackOptions {
  /** A folder of its own: project, state and PULUMI_HOME. */
  folder: string;
  /** Path of the pulumi CLI. */
  engine: string;
  program: Program;
  /** The project's name, and its plugin: package and folder, absolute. */
  project: { name: string; plugin: string; path: string };
  /** The stack's configuration, `project:key` to value. */
  config: Record<string, unknown>;
  env: Record<string, string>;
  signal: AbortSignal;
}

/** A stack with a file backend of its own, run by the real CLI with an inline program. */
export class BenchStack {
  readonly #options: BenchStackOptions;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(options: BenchStackOptions) {
    this.#options = options;
    const state = join(options.folder, "state");
    mkdirSync(state, { recursive: true });
    this.#env = {
      ...process.env,
      PULUMI_HOME: join(options.folder, "home"),
      PULUMI_BACKEND_URL: `file://${state}`,
      PULUMI_CONFIG_PASSPHRASE: "benchmarks only",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      ...options.env,
    };
  }

  /** Makes the stack; nothing is deployed yet. */
  static async open(options: BenchStackOptions): Promise<BenchStack> {
    const { name, plugin, path } = options.project;
    const project = { name, runtime: "nodejs", plugins: { providers: [{ name: plugin, path }] } };
    const stack = new BenchStack(options);
    writeFileSync(join(options.folder, "Pulumi.yaml"), stringify(project));
    writeFileSync(join(options.folder, "Pulumi.bench.yaml"), stringify({ config: options.config }));
    await stack.#run(["stack", "init", "bench"]);
    return stack;
  }

  /** Runs `up` without a preview. @returns milliseconds from the CLI's start to its end */
  up(options: { unchanged: boolean }): Promise<number> {
    return this.#timed(["up", "--yes", "--skip-preview", ...(options.unchanged ? ["--expect-no-changes"] : [])]);
  }

  destroy(): Promise<number> {
    return this.#timed(["destroy", "--yes", "--skip-preview"]);
  }

  /** How many resources the state holds, stages and providers included. */
  async size(): Promise<number> {
    const state = JSON.parse(await this.#run(["stack", "export"])) as { deployment: { resources?: unknown[] } };
    return state.deployment.resources?.length ?? 0;
  }

  async #timed(args: string[]): Promise<number> {
    const began = performance.now();
    await this.#run(args);
    return performance.now() - began;
  }

  async #run(args: string[]): Promise<string> {
    const { folder, engine, program, signal } = this.#options;
    signal.throwIfAborted();
    const options = { cwd: folder, env: this.#env, engine, program, signal, stdio: "pipe" as const, detached: true };
    const result = await pulumi([...args, "--non-interactive", "--color=never"], options);
    signal.throwIfAborted();
    if (result.code === 0) return result.stdout;
    throw new GuardianError({
      what: `pulumi ${args.join(" ")} failed with exit code ${result.code}`,
      where: this.#options.project.name,
      todo: `see its output:\n${result.stdout}${result.stderr}`,
    });
  }
}
