import { createRequire } from "node:module";
import { clone } from "../scripts/stack/backend";
import { OwnStack, type Wanted } from "../scripts/stack/own";

/** A stack whose operations are timed. */
export class BenchStack {
  private constructor(private readonly stack: OwnStack) {}

  /** Makes the stack; nothing is deployed yet. */
  static async open(wanted: Omit<Wanted, "name">): Promise<BenchStack> {
    createRequire(__filename)(clone); // the program, so that loading it is no part of what is measured
    return new BenchStack(await OwnStack.open({ ...wanted, name: "bench" }));
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
