import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer } from "../engine/server/server";
import { newestDumpable } from "../scripts/postgres/newest";
import { clone } from "../scripts/stack/backend";
import { OwnStack, type Wanted } from "../scripts/stack/own";
import { createV6, type Login } from "../scripts/v6/database";
import type { Run } from "./benchmark";

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

/** Runs some work in a folder of its own and on a v6 of its own, on the newest server that can be dumped; both go with it. */
export async function withDatabase<T>(
  { say, options }: Run,
  work: (folder: string, login: Login) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "guardian-bench-"));
  try {
    const { major, why } = await newestDumpable();
    say(`server: ${why}`);
    const server = await startServer({ major, say });
    try {
      return await work(folder, (await createV6(server, "guardian", { users: options["users"] ?? 1000 })).migrator);
    } finally {
      await server.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
