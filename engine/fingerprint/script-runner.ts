import { escapeIdentifier } from "pg";
import { fromPostgres, GuardianError } from "../base/errors";
import type { Askable } from "../base/sql";

/** One thing that the v6 application does, and whether it still can. */
export interface ScriptStep {
  name: string;
  passed: boolean;
  /** Why it did not pass; without row values. */
  reason?: string;
}

/** As whom a step runs: role "" is the session's own user; user is the id in the token that auth.uid() reads. */
export interface Actor {
  role: string;
  user: string | null;
}

/** Runs steps inside the caller's transaction, each in a savepoint, so that one that fails stops no other. */
export class ScriptRunner {
  readonly steps: ScriptStep[] = [];

  constructor(private readonly client: Askable) {}

  /**
   * Runs one step and records how it went; it does not throw for what the step meets.
   *
   * @param keep false: what the step wrote is taken back.
   */
  async step(name: string, actor: Actor, work: () => Promise<void>, keep = true): Promise<void> {
    await this.client.query("SAVEPOINT step");
    try {
      const { role, user } = actor;
      const token = JSON.stringify(user === null ? { role } : { sub: user, role });
      await this.client.query("SELECT set_config('request.jwt.claims', $1, true)", [token]);
      await this.become(role);
      await work();
      await this.client.query(keep ? "RELEASE SAVEPOINT step; RESET ROLE" : "ROLLBACK TO SAVEPOINT step");
      this.steps.push({ name, passed: true });
    } catch (err) {
      const error = fromPostgres(err, name);
      const reason = error.what + (error.sqlstate ? ` (SQLSTATE ${error.sqlstate})` : "");
      this.steps.push({ name, passed: false, reason });
      await this.client.query("ROLLBACK TO SAVEPOINT step"); // the role goes back with it
    }
  }

  /** Takes a role for the rest of the step; "" is the session's own user. */
  async become(role: string): Promise<void> {
    await this.client.query(role === "" ? "RESET ROLE" : `SET LOCAL ROLE ${escapeIdentifier(role)}`);
  }

  /** The statement must return exactly `n` rows. @throws GuardianError when it does not. */
  async expect(n: number, sql: string, values: unknown[] = []): Promise<void> {
    const found = (await this.rows(sql, values)).length;
    if (found !== n) throw new GuardianError("measurement-failed", { what: `expected ${n} row(s), got ${found}` });
  }

  /** The rows of a query. */
  async rows(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.client.query(sql, values)).rows;
  }
}
