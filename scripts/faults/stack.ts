import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { backendFiles } from "../pulumi/backend/files";
import { pendingIn } from "../pulumi/backend/pending";
import type { PulumiResult } from "../pulumi/run";
import { mendTorn } from "../pulumi/backend/torn";
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
  /** Keys in a range of a data migration's plan. */
  rangeKeys: number;
  /** Backups are proven. */
  proof: boolean;
}

/** The product's own program as a stack whose runs are killed. */
export class FaultStack {
  private constructor(private readonly stack: OwnStack) {}

  /** Makes the stack; nothing is deployed yet. @throws GuardianError with the engine's own words */
  static async open({ tmp, rangeKeys, proof, ...options }: StackOptions): Promise<FaultStack> {
    const stack = await OwnStack.open({
      ...options,
      name: "faults",
      config: {
        "guardian:backup": { directory: join(options.folder, "backups"), jobs: 1, verify: proof ? "restore" : "list" },
      },
      env: {
        TMPDIR: tmp,
        // Nobody uses this v6, and a busy machine must not make a module wait minutes for a short moment to lock it.
        GUARDIAN_LOCK_HOLD_MS: "10000",
        GUARDIAN_LOCK_PAUSE_MS: "500",
        GUARDIAN_RANGE_KEYS: String(rangeKeys),
        GUARDIAN_QUERY_TURNS: "1",
      },
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
