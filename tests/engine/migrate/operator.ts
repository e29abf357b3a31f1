import { FencedWriter } from "../../../engine/database";
import type { EngineParameters } from "../../../engine/parameters";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import type { Queryable } from "../../../engine/base/sql";
import type { Operator } from "../../../engine/operator";
import { withOperator } from "../../../scripts/v6/operator";
import type { Login } from "../../support/postgres";

/*
 * An operator in a process of its own, that stops itself (SIGSTOP) at its n-th batch: with everything written and COMMIT not
 * yet sent, or right after the COMMIT. On SIGCONT it goes on as if nothing had happened. Its one line of output is how it
 * ended.
 */

/** What the first argument holds, as JSON. */
export interface OperatorOptions {
  login: Login;
  parameters: EngineParameters;
  stack: string;
  migration: string;
  given: object;
  workers: number;
  /** Which batch it stops at, counted from 1 for the worker that stops. */
  at: number;
  /** True: the second worker stops inside its transaction; else whichever comes first. */
  second: boolean;
  inside: boolean;
}

/** How it ended. */
export interface OperatorEnd {
  written?: string;
  what?: string;
}

/** Makes the n-th batch stop this process. */
function stopAt(options: OperatorOptions): void {
  const usual = FencedWriter.prototype.transaction;
  // Whose transactions count: every writer's, or all but the first one's, which is the operator's own.
  const writers: FencedWriter[] = [];
  let batches = 0;
  const isBatch = async (db: Queryable): Promise<boolean> => {
    const text = "SELECT EXISTS (SELECT FROM guardian_migration.batch WHERE xid = pg_current_xact_id()) AS yes";
    return (await db.query<{ yes: boolean }>(text)).rows[0]?.yes ?? false;
  };
  const stop = (): boolean => process.kill(process.pid, "SIGSTOP");
  FencedWriter.prototype.transaction = async function <T>(work: (db: Queryable) => Promise<T>): Promise<T> {
    if (!writers.includes(this)) writers.push(this);
    const counts = !options.second || writers.indexOf(this) > 0;
    const { result, due } = (await usual.call(this, async (db: Queryable) => {
      const done = { result: await work(db), due: false };
      if (counts && (await isBatch(db))) done.due = ++batches === options.at;
      if (done.due && options.inside) stop();
      return done;
    })) as { result: T; due: boolean };
    if (due && !options.inside) stop();
    return result;
  };
}

async function run(options: OperatorOptions): Promise<OperatorEnd> {
  const { login, parameters, stack, given, workers } = options;
  stopAt(options);
  const move = async (operator: Operator): Promise<OperatorEnd> => {
    const moved = await operator.move(await loadMigration(options.migration), given, { workers, throttled: false });
    return { written: moved.written.toString() };
  };
  return withOperator(login, move, { parameters, stack }).catch((err: unknown) => ({
    what: err instanceof Error ? err.message : String(err),
  }));
}

void run(JSON.parse(process.argv[2] ?? "{}") as OperatorOptions).then((end) => {
  process.stdout.write(JSON.stringify(end));
});
