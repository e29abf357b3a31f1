import { mkdtempSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { findEngine } from "../scripts/pulumi/engine";
import { clone } from "../scripts/stack/backend";
import { OwnStack, type Wanted } from "../scripts/stack/own";
import type { Login } from "../scripts/v6/database";
import type { Run } from "./benchmark";

/** What `destroy` leaves of a stack with this configuration is the database as it was: the next round begins like the first. */
export const purging = { config: { "guardian:purge": "true" } };

/** A stack whose operations are timed. */
export class BenchStack {
  private constructor(private readonly stack: OwnStack) {}

  /** Makes the stack in a folder of its own within the given one; nothing is deployed yet. */
  static async open(
    { say, signal }: Pick<Run, "say" | "signal">,
    within: string,
    login: Login,
    more: Pick<Wanted, "plugin" | "config"> = {},
  ): Promise<BenchStack> {
    createRequire(__filename)(clone); // the program, so that loading it is no part of what is measured
    const engine = (await findEngine({ log: { line: say } })).path;
    const folder = mkdtempSync(join(within, "stack-"));
    return new BenchStack(await OwnStack.open({ folder, engine, signal, login, name: "bench", ...more }));
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
    const state = JSON.parse(await this.stack.must(["stack", "export"])) as { deployment: { resources?: unknown[] } };
    return state.deployment.resources?.length ?? 0;
  }

  async #timed(args: string[]): Promise<number> {
    const began = performance.now();
    await this.stack.must(args);
    return performance.now() - began;
  }
}
