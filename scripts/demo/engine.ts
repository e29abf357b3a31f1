import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { GuardianError } from "../../engine/errors";
import type { Program } from "../pulumi/inline";
import { pulumi } from "../pulumi/run";
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

  constructor(private readonly options: EngineOptions) {}

  /** Makes the stack. @throws GuardianError with the engine's own words. */
  init(): Promise<void> {
    return this.quietly(["stack", "init", stack]);
  }

  /** `pulumi config set guardian:KEY VALUE` */
  set(key: string, value: string): Promise<void> {
    return this.quietly(["config", "set", `guardian:${key}`, value]);
  }

  /**
   * Runs an operation with the engine's own lines, without asking.
   * @throws GuardianError if it fails, after the engine has said why; Interrupted
   */
  async operation(verb: "preview" | "up" | "destroy"): Promise<Operation> {
    const { path, place, interruption, terminal, relay } = this.options;
    const log = join(place.events, `${++this.#run}-${verb}.json`);
    const consent = verb === "preview" ? [] : ["--yes", "--skip-preview"];
    const began = performance.now();
    try {
      const { code } = await pulumi([verb, "--stack", stack, ...consent, "--event-log", log], {
        cwd: place.project,
        env: place.environment,
        engine: path,
        program,
        detached: !terminal,
        onStart: (engine) => interruption.watch(engine),
        ...(relay ? { stdio: "pipe", onOutput: relay } : {}),
      });
      const seconds = Math.round((performance.now() - began) / 100) / 10;
      if (code === 0) return readOperation(log, verb === "preview", seconds);
      if (wasCancelled(log)) throw new Interrupted("SIGINT");
      throw new GuardianError({
        what: `pulumi ${verb} failed with exit code ${code}; its own lines above say why`,
        where: `the demo's stack ${stack}`,
      });
    } finally {
      rmSync(log, { force: true });
    }
  }

  private async quietly(args: string[]): Promise<void> {
    const { path, place, interruption } = this.options;
    const { code, stderr } = await pulumi([...args, "--non-interactive", "--color=never"], {
      cwd: place.project,
      env: place.environment,
      engine: path,
      stdio: "pipe",
      detached: true,
      onStart: (engine) => interruption.watch(engine),
    });
    if (code === 0) return;
    throw new GuardianError({
      what: `pulumi ${args.slice(0, 2).join(" ")} failed: ${stderr.trim()}`,
      where: place.project,
    });
  }
}

function wasCancelled(log: string): boolean {
  try {
    return readOperation(log, false, 0).cancelled;
  } catch {
    return false; // it failed before it wrote one
  }
}

/** The stack's program, loaded when the engine asks for it, so that an error in it is shown as the program's. */
const program: Program = () => (createRequire(__filename)("../../index") as Program)();
