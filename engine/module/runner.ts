import { escapeLiteral, type DatabaseError } from "pg";
import { fromPostgres, fromStatement, isPostgres } from "../base/errors";
import type { Queryable } from "../base/sql";
import { excerpt, utf16Offset, type Statement } from "./files/statements";

/** What a statement's error says of its place; the engine's own statements have neither line nor source. */
type Placed = Pick<Statement, "text"> & Partial<Pick<Statement, "line" | "offset" | "file" | "source">>;

/**
 * Runs statements one by one, so that a failure names its line in the file.
 * @throws GuardianError with file, line and SQLSTATE, without row values
 */
export async function runStatements(db: Queryable, statements: readonly Statement[]): Promise<void> {
  for (const statement of statements) {
    try {
      await db.query(statement.text);
    } catch (err) {
      throw located(err, statement.file, statement, isPostgres(err) && !err.internalQuery ? err.position : undefined);
    }
  }
}

/** What stands around statements that may only look, as those of verify.sql: what they wrote no rollback would know of. */
export const looking = [
  "SAVEPOINT looking; SET LOCAL transaction_read_only = on",
  "RELEASE SAVEPOINT looking",
] as const;

/**
 * Runs statements in one round trip and under one statement_timeout: used while v6 is locked, where every round trip is
 * time that others wait. They are the lines of one DO block, by whose CONTEXT a failure still names its line.
 * @param file where a statement is from that does not say so itself
 * @param around SQL that runs before and after
 * @throws GuardianError as runStatements
 */
export async function runTogether(
  db: Queryable,
  file: string,
  statements: readonly Placed[],
  around: readonly [string, string] | readonly [] = [],
): Promise<void> {
  if (statements.length === 0) return;
  const lines = ["BEGIN", ...statements.map((statement) => `EXECUTE ${escapeLiteral(statement.text)};`), "END"];
  try {
    const block = `DO LANGUAGE plpgsql ${escapeLiteral(lines.join("\n"))}`;
    await db.script([around[0], block, around[1]].filter((text) => text !== undefined).join(";\n"));
  } catch (err) {
    const failed = isPostgres(err) ? statements[failedLine(err, lines) - 1] : undefined;
    if (!isPostgres(err) || !failed) throw fromPostgres(err, file, mend);
    const position = err.internalQuery === failed.text ? err.internalPosition : undefined;
    throw located(err, failed.file ?? file, failed, position);
  }
}

/** Which line of the block failed: the outermost frame of the CONTEXT counts the block's lines in whatever language. */
function failedLine(err: DatabaseError, lines: readonly string[]): number {
  const frames = [...(err.where ?? "").matchAll(/inline_code_block\D*(\d+)/g)];
  const line = Number(frames.at(-1)?.[1] ?? 0);
  let at = 1;
  for (const [index, text] of lines.entries()) {
    const end = at + text.split("\n").length - 1;
    if (line >= at && line <= end) return index;
    at = end + 1;
  }
  return 0;
}

const mend = "mend the file; the transaction was rolled back and nothing of it is left";

function located(err: unknown, file: string, statement: Placed, position: string | undefined): Error {
  const { line, offset, source } = statement;
  if (line === undefined || offset === undefined || source === undefined) {
    return fromPostgres(err, `${file}: ${statement.text.slice(0, 120)}`);
  }
  const where =
    position !== undefined
      ? excerpt(file, source, offset + utf16Offset(statement.text, Number(position) - 1))
      : `${file}:${line}: ${statement.text.replaceAll(/\s+/g, " ").slice(0, 80)}`;
  return fromStatement(err, where, mend, source);
}
