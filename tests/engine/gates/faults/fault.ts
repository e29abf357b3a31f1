import type { Client } from "pg";
import type { Declared, Outcome } from "../../../../engine/gates/check";
import type { Rules } from "../../../../engine/gates/decide";
import type { Gate } from "../../../../spec/gates";
import type { V6 } from "../../../support/postgres";
import type { Engine } from "../../module/harness";

/** What a stack declares, as far as checks judge by it. */
export interface Stack extends Pick<Rules, "accept" | "strict"> {
  readonly declared?: Partial<Omit<Declared, "strict">>;
}

/** Where faults are planted: a database, and the stack's engine on it. */
export interface Place {
  readonly engine: Engine;
  readonly db: V6;
  /** The superuser, in one session. */
  readonly admin: Client;
  /** What every stack here declares. */
  readonly stack: Stack;
  /** Of the stack's own application. */
  readonly url?: string;
}

/** Something that is done to a place. */
export type Act = (place: Place) => Promise<unknown>;

/** What somebody did, and what a check says of it. */
export interface Fault {
  /** The check's name. */
  readonly check: string;
  readonly fault: string;
  /** Absent: it fails. */
  readonly verdict?: Exclude<Outcome["verdict"], "passed" | "not applicable">;
  /** Verdict and evidence, in one line. */
  readonly says: RegExp;
  /** The same before; absent: it passes. */
  readonly sound?: RegExp;
  readonly plant?: Act;
  readonly undo?: Act;
  /** Something stays when it is undone that the check minds, and the faults after it do not. */
  readonly leaves?: true;
  /** What the stack declares then, where that is the fault, or a part of it. */
  readonly planted?: (place: Place) => Stack;
  /**
   * The gate that is asked as a whole: the fault stops it (a warning is told by it), and with the check's file taken away the
   * gate goes through. Each check has such a fault; of others only the check is asked.
   */
  readonly at?: Gate;
  /** Checks that see it too. The stack accepts them by name, so that nothing but this check stops it. */
  readonly also?: readonly string[];
  /** What the stack declares beside what every stack of the place does. */
  readonly stack?: Stack;
}

/** Statements of the superuser. */
export const sql =
  (text: string): Act =>
  ({ admin }) =>
    admin.query(text);
