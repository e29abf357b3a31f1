import type { FunctionSpec, ResourceSpec } from "../spec";
import type { Changes } from "./diff";
import type { Values } from "./wire";

/** What a call can tell the user; nothing else that the plugin prints is ever seen. */
export interface CallLog {
  /** One line that stays, also in `preview --json`. */
  info(message: string): void;
  warn(message: string): void;
  /** The one moving status line of this resource. */
  status(message: string): void;
}

/** What every call comes with. */
export interface Call<Host> {
  readonly urn: string;
  /** The resource's own name, the last part of its URN. */
  readonly name: string;
  /** True while nothing may be written. */
  readonly preview: boolean;
  /** From customTimeouts, in seconds; 0 if the user set none. */
  readonly timeoutSeconds: number;
  readonly log: CallLog;
  /** Fires at ^C, and when the CLI is gone. */
  readonly signal: AbortSignal;
  /** What the resources share in this process: here, the database. */
  readonly host: Host;
}

export interface Checked {
  inputs: Values;
  failures: readonly { property: string; reason: string }[];
}

/** What the state and the program say, as diff gets them. */
export interface Comparison {
  id: string;
  oldState: Values;
  oldInputs: Values;
  news: Values;
}

export type ReadResult = { gone: true } | { gone: false; id: string; inputs: Values; state: Values };

/**
 * What the plugin does for one kind of resource. In preview, create and update return what is certain and leave out
 * what is not: the service marks every output that is missing as unknown.
 */
export interface Handler<Host> {
  readonly spec: ResourceSpec;
  /** @param olds the inputs in the state; empty before the first up */
  check(call: Call<Host>, news: Values, olds: Values): Promise<Checked>;
  diff(call: Call<Host>, it: Comparison): Promise<Changes>;
  create(call: Call<Host>, inputs: Values): Promise<{ id: string; state: Values }>;
  update(call: Call<Host>, it: Comparison): Promise<Values>;
  read(call: Call<Host>, id: string, inputs: Values, state: Values): Promise<ReadResult>;
  delete(call: Call<Host>, id: string, inputs: Values, state: Values): Promise<void>;
}

/** A function of the package. */
export interface FunctionHandler<Host> {
  readonly spec: FunctionSpec;
  invoke(call: Call<Host>, inputs: Values): Promise<Values>;
}

/** All that a plugin is made of. */
export interface Plugin<Host> {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly config: ResourceSpec["inputs"];
  readonly resources: readonly Handler<Host>[];
  readonly functions: readonly FunctionHandler<Host>[];
  /** Checks the provider's configuration; must not connect. */
  configure(config: Values): Promise<Host>;
  /** Makes an error that nobody awaited fit to be shown: without passwords and row values. */
  presentable(err: unknown): Error;
  /** Called once when the process ends, with at most a few seconds left. */
  close(host: Host): Promise<void>;
}

/**
 * Thrown by create, update and read when a part is done and a part is not: the state is kept, and the next `up` calls
 * update even if nothing changed (Pulumi, ErrorResourceInitFailed). Only the reasons are shown to the user.
 */
export class PartlyDone extends Error {
  /** Top-level properties that are secret; filled in by the service, which knows what came in as one. */
  secrets: ReadonlySet<string> = new Set();

  constructor(
    readonly id: string,
    readonly state: Values,
    readonly inputs: Values,
    readonly reasons: readonly string[],
    options?: ErrorOptions,
  ) {
    super(reasons.join("\n"), options);
  }
}
