import { fromPostgres, isPostgres } from "../errors";
import type { Queryable } from "../sql";
import { excerpt, type Statement } from "./statements";

/**
 * Runs statements one by one, so that a failure names its line in the file.
 * @throws GuardianError with file, line and SQLSTATE, without row values
 */
export async function runStatements(db: Queryable, file: string, statements: readonly Statement[]): Promise<void> {
  for (const statement of statements) {
    try {
      await db.query(statement.text);
    } catch (err) {
      throw located(err, file, statement);
    }
  }
}

/**
 * Runs statements in one round trip: used while v6 is locked, where every round trip is time that others wait.
 * @throws GuardianError as runStatements, naming the first line of the group where the server gave no place
 */
export async function runTogether(db: Queryable, file: string, statements: readonly Statement[]): Promise<void> {
  const [head] = statements;
  if (!head) return;
  const text = statements.map((statement) => statement.text).join(";\n");
  try {
    await db.script(text);
  } catch (err) {
    throw located(err, file, { ...head, text });
  }
}

function located(err: unknown, file: string, statement: Statement): Error {
  if (!isPostgres(err)) return fromPostgres(err, `${file}:${statement.line}`);
  const offset = Number(err.position ?? 0);
  const shift = "\n".repeat(statement.line - 1);
  const where =
    offset > 0 && !err.internalQuery
      ? excerpt(file, shift + statement.text, shift.length + offset - 1)
      : `${file}:${statement.line}: ${statement.text.replaceAll(/\s+/g, " ").slice(0, 80)}`;
  return fromPostgres(err, where, "mend the file; the transaction was rolled back and nothing of it is left");
}
