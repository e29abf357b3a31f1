import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import { OwnStack } from "../stack/own";
import { Interrupted, type Interruption } from "./interruption";
import { readOperation, type Operation } from "./operation";
import { stack, type Place } from "./place";

export interface EngineOptions {
  /** Path of the pulumi CLI. */
  path: string;
  place: Place;
  interruption: Interruption;
  /** The terminal's process group is the engine's too. */
  terminal: boolean;
  /** Takes the engine's output; absent: it writes to our own terminal, live. */
  relay: ((text: string) => void) | undefined;
}

/** The real engine on the demo's stack; the program is served from this process. */
export class DemoEngine {
  #run = 0;
  readonly #stack: OwnStack;

  constructor(private readonly options: EngineOptions) {
    const { path: engine, place, interruption } = options;
    const onStart = (child: ChildProcess): void => interruption.watch(child);
    this.#stack = new OwnStack({ name: stack, folder: place.project, env: place.environment, engine, onStart });
  }

  /** Makes the stack. @throws GuardianError with the engine's own words. */
  async init(): Promise<void> {
    await this.#stack.must(["stack", "init", stack]);
  }

  /** Sets guardian:KEY. */
  set(key: string, value: string): void {
    this.#stack.configure({ [`guardian:${key}`]: value });
  }

  /**
   * Runs an operation with the engine's own lines, without asking.
   * @throws GuardianError if it fails, after the engine has said why; Interrupted
   */
  async operation(verb: "preview" | "up" | "destroy"): Promise<Operation> {
    const { place, terminal, relay } = this.options;
    const log = join(place.events, `${++this.#run}-${verb}.json`);
    const consent = verb === "preview" ? [] : ["--yes", "--skip-preview"];
    const began = performance.now();
    try {
      const { code } = await this.#stack.pulumi([verb, "--stack", stack, ...consent, "--event-log", log], {
        detached: !terminal,
        ...(relay ? { stdio: "pipe", onOutput: relay } : {}),
      });
      const seconds = Math.round((performance.now() - began) / 100) / 10;
      if (code === 0) return readOperation(log, verb === "preview", seconds);
      if (wasCancelled(log)) throw new Interrupted("SIGINT");
      throw new GuardianError("command-failed", {
        what: `pulumi ${verb} failed with exit code ${code}; its own lines above say why`,
        where: `the demo's stack ${stack}`,
      });
    } finally {
      rmSync(log, { force: true });
    }
  }
}

function wasCancelled(log: string): boolean {
  try {
    return readOperation(log, false, 0).cancelled;
  } catch {
    return false; // it failed before it wrote one
  }
}
