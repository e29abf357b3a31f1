import { sqlstateOf } from "../base/errors";
import type { Queryable } from "../base/sql";
import type { Statement } from "./files/statements";
import { looking, runStatements } from "./runner";

/** Of these classes is what says nothing of the module: the connection, locks, resources, the server's end. */
const circumstances = /^(08|25|40|53|55|57|58|XX)/;

/**
 * Runs verify.sql while v6 is not locked yet, and what a module has on v6's tables is not made yet.
 * @returns the statements that refuse: they may speak of just that, and are run again when it is there
 */
export async function verifyEarly(db: Queryable, statements: readonly Statement[]): Promise<Statement[]> {
  const refusing: Statement[] = [];
  for (const statement of statements) {
    await db.script(looking[0]);
    try {
      await runStatements(db, [statement]);
    } catch (err) {
      const code = sqlstateOf(err);
      if (code === undefined || circumstances.test(code)) throw err;
      refusing.push(statement);
      await db.query("ROLLBACK TO SAVEPOINT looking");
    }
    await db.query(looking[1]);
  }
  return refusing;
}
