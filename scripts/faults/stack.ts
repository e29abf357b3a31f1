import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { backendFiles } from "../pulumi/backend/files";
import { pendingIn } from "../pulumi/backend/pending";
import type { PulumiResult } from "../pulumi/run";
import { mendTorn } from "../pulumi/backend/torn";
import { clone } from "../stack/backend";
import { OwnStack } from "../stack/own";
import type { Login } from "../v6/database";

export interface StackOptions {
  /** A folder of its own: project, state, backups. */
  folder: string;
  /** PULUMI_HOME. */
  home: string;
  /** Temporary files of the engine and of the plugin, which they cannot clear away when they are killed. */
  tmp: string;
  /** Path of the pulumi CLI. */
  engine: string;
  login: Login;
  settings: Settings;
}

/** What a stack is set to. */
export interface Settings {
  /** `guardian:key` to value; where backups go is the stack's own. */
  config: Record<string, unknown>;
  env: Record<string, string>;
}

/**
 * For runs that are killed.
 * @param rangeKeys keys in a range of a data migration's plan
 * @param proof whether backups are proven
 */
export const hurried = ({ rangeKeys, proof }: { rangeKeys: number; proof: boolean }): Settings => ({
  config: { "guardian:backup": { jobs: 1, verify: proof ? "restore" : "list" } },
  env: {
    // Nobody uses this v6, and a busy machine must not make a module wait minutes for a short moment to lock it.
    GUARDIAN_LOCK_HOLD_MS: "10000",
    GUARDIAN_LOCK_PAUSE_MS: "500",
    GUARDIAN_RANGE_KEYS: String(rangeKeys),
    GUARDIAN_QUERY_TURNS: "1",
  },
});

/** As the stack dev has it, with the product's own times: every backup proven, flags on, every gate with its own limits. */
export function asDev(): Settings {
  const { config } = parse(readFileSync(join(clone, "Pulumi.dev.yaml"), "utf8")) as Pick<Settings, "config">;
  delete config["guardian:database"]; // the stack's own
  return { config, env: {} };
}

/** The product's own program as a stack of a database of its own. */
export class FaultStack {
  private constructor(private readonly stack: OwnStack) {}

  /** Makes the stack; nothing is deployed yet. @throws GuardianError with the engine's own words */
  static async open({ tmp, settings: { config, env }, ...options }: StackOptions): Promise<FaultStack> {
    const backup = { ...(config["guardian:backup"] as object), directory: join(options.folder, "backups") };
    const stack = await OwnStack.open({
      ...options,
      name: "faults",
      config: { ...config, "guardian:backup": backup },
      env: { TMPDIR: tmp, ...env },
    });
    return new FaultStack(stack);
  }

  /** Sets guardian:through. */
  through(stage: "schema" | "deployment"): void {
    this.stack.configure({ "guardian:through": stage });
  }

  /** Runs a command of the CLI; a failed one is a code, not an exception. */
  run(args: readonly string[], onStart: (cli: ChildProcess) => void = () => undefined): Promise<PulumiResult> {
    return this.stack.run(args, { onStart });
  }

  /** Brings back a state that the CLI was killed in the middle of writing. */
  async mend(): Promise<void> {
    await mendTorn(this.stack.backend);
  }

  /** True if a dead run still holds the stack's lock: then only `pulumi cancel` helps. */
  get locked(): boolean {
    return backendFiles(this.stack.backend, "locks").length > 0;
  }

  /** How many operations the state says are pending: a killed CLI could not write how they ended. */
  get pending(): number {
    return backendFiles(this.stack.backend, "stacks").reduce((sum, file) => sum + pendingIn(file), 0);
  }
}
