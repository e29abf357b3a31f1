import type { QueryResultRow } from "pg";
import { isPostgres, sqlstateOf } from "../../base/errors";
import type { Trial } from "../../connect";
import { become } from "../api";
import { isPassing } from "../check";

/** Who works with the functions under trial: a person, by the API; or the server side, as the owner of v7. */
export type Who = { readonly person: string } | "server";

/** A step that ended with an error of the server's, by which the trial ended too. */
export class StepFailed extends Error {
  constructor(
    readonly step: string,
    readonly state: string,
  ) {
    super(`${step}: SQLSTATE ${state}`);
  }
}

/**
 * What a check of function does, one step after the other, and what it found. A step is a fixed text: nothing of a row and
 * nothing of a server's message gets into what is told.
 */
export class Steps {
  readonly #trial: Trial;
  readonly done: string[] = [];
  readonly faults: string[] = [];
  /** Figures by name, which ends in the unit where there is one. */
  readonly measured: Record<string, number> = {};
  /** What is to be told of a trial that found no fault, and what was not tried. */
  readonly notes: string[] = [];
  /** What is no fault, and should be mended all the same: what, and how. */
  readonly warnings: { line: string; mend: string }[] = [];

  /** @param becomes whether persons are asked as role authenticated; else only by their claims, with the owner's rights */
  constructor(
    trial: Trial,
    readonly becomes: boolean,
  ) {
    this.#trial = trial;
  }

  /**
   * Asks one statement as somebody, and takes note of the step.
   * @throws StepFailed if the server refuses it
   */
  async ask<R extends QueryResultRow>(what: string, who: Who, text: string, values: unknown[] = []): Promise<R[]> {
    const rows = await this.#as(what, who, text, values);
    this.done.push(what);
    return rows as R[];
  }

  /**
   * As ask, of what only reads: where it takes longer than a statement of a trial may, that is a note, and the trial goes on.
   * @returns undefined then
   */
  async inTime<R extends QueryResultRow>(what: string, who: Who, text: string): Promise<R[] | undefined> {
    try {
      return await this.#trial.takenBack(() => this.ask<R>(what, who, text));
    } catch (err) {
      if (!(err instanceof StepFailed && err.state === "57014")) throw err;
      this.notes.push(`${what}: could not run, it takes too long`);
      return undefined;
    }
  }

  /** As ask: the first column of the first row. */
  async value<T>(what: string, who: Who, text: string, values: unknown[] = []): Promise<T | undefined> {
    const [row] = await this.ask<Record<string, T>>(what, who, text, values);
    return row && Object.values(row)[0];
  }

  /** Asks, and holds the answer against what it should be. */
  async expect(what: string, who: Who, wanted: unknown, text: string, values: unknown[] = []): Promise<void> {
    const found = await this.value(what, who, text, values);
    if (JSON.stringify(found ?? null) !== JSON.stringify(wanted)) this.faults.push(`${what}: not so`);
  }

  /** Asks what must be refused with an SQLSTATE; where it is not, that is a fault. */
  async refused(what: string, state: string, who: Who, text: string, values: unknown[] = []): Promise<void> {
    const said = await this.#trial.takenBack(() =>
      this.#as(what, who, text, values).then(
        () => undefined,
        (err: unknown) => {
          if (err instanceof StepFailed && !isPassing(err.state)) return err.state;
          throw err;
        },
      ),
    );
    this.done.push(what);
    if (said !== state) this.faults.push(`${what}: ${said === undefined ? "not refused" : `SQLSTATE ${said}`}`);
  }

  /** Something that must be so, of answers that were given. */
  hold(what: string, so: boolean): void {
    this.done.push(what);
    if (!so) this.faults.push(`${what}: not so`);
  }

  async #as(what: string, who: Who, text: string, values: unknown[]): Promise<QueryResultRow[]> {
    const person = who === "server" ? undefined : who.person;
    try {
      await become(this.#trial, person !== undefined && this.becomes ? "authenticated" : undefined, person);
      const { rows } = await this.#trial.query(text, values);
      // Not SET ROLE NONE, which would undo a role that the login begins with (ALTER ROLE … SET role, the connection's options).
      if (this.becomes) await this.#trial.query("RESET ROLE");
      return rows;
    } catch (err) {
      // A lock that was not had comes as a GuardianError that names its holder, with the server's SQLSTATE.
      const state = sqlstateOf(err) ?? (isPostgres(err) ? "XXXXX" : undefined);
      throw state === undefined ? err : new StepFailed(what, state);
    }
  }
}
