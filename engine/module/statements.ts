import { loadModule, parse, parsePlPgSQL } from "@libpg-query/parser";
import { GuardianError } from "../errors";

/** A node of PostgreSQL's parse tree as JSON (libpg_query); its keys are the server's own field names. */
export type Node = null | boolean | number | string | Node[] | { [key: string]: Node };

/** One statement of a file. */
export interface Statement {
  /** The statement as written, without the semicolon. */
  text: string;
  /** Line of the file on which it begins, from 1. */
  line: number;
  /** The parse tree. */
  tree: { [key: string]: Node };
}

/**
 * Splits a file by PostgreSQL's own grammar.
 * @throws GuardianError for a syntax error, with file, line, column and the line itself
 */
export async function parseFile(file: string, sql: string): Promise<Statement[]> {
  // libpg_query refuses an empty text; to PostgreSQL it is a script of no statements.
  if (sql.trim() === "") return [];
  await loadModule();
  let tree: { stmts?: { stmt: { [key: string]: Node }; stmt_location?: number; stmt_len?: number }[] };
  try {
    tree = (await parse(sql)) as unknown as typeof tree;
  } catch (err) {
    throw syntaxError(file, sql, err);
  }
  // The tree counts in bytes of UTF-8, not in JavaScript's characters.
  const bytes = Buffer.from(sql);
  return (tree.stmts ?? []).map((raw) => {
    const start = raw.stmt_location ?? 0;
    const whole = bytes.subarray(start, raw.stmt_len ? start + raw.stmt_len : bytes.length).toString();
    const text = whole.trim();
    const lead = leadingBlank(whole);
    const line = (bytes.subarray(0, start).toString() + lead).split("\n").length;
    return { text, line, tree: raw.stmt };
  });
}

/** What stands before the first token: blanks and comments. */
function leadingBlank(text: string): string {
  return /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0] ?? "";
}

/** Parses the body of a function written in plpgsql, given its whole CREATE FUNCTION or DO statement. */
export async function parseBody(statement: string): Promise<Node> {
  return (await parsePlPgSQL(statement)) as Node;
}

/**
 * A place in a file, shown as three lines and a caret.
 * @param offset characters from the file's start, from 0
 */
export function excerpt(file: string, sql: string, offset: number): string {
  const before = sql.slice(0, offset).split("\n");
  const line = before.length;
  const column = (before.at(-1) ?? "").length + 1;
  const lines = sql.split("\n");
  const shown = lines
    .slice(Math.max(0, line - 2), line)
    .map((text, i, all) => `    ${line - all.length + 1 + i} | ${text}`);
  const width = `    ${line} | `.length;
  return `${file}:${line}:${column}\n${shown.join("\n")}\n${" ".repeat(width + column - 1)}^`;
}

function syntaxError(file: string, sql: string, err: unknown): GuardianError {
  const details = (err as { sqlDetails?: { cursorPosition: number } }).sqlDetails;
  const where = details ? excerpt(file, sql, details.cursorPosition) : file;
  return new GuardianError({
    what: `the file is not valid SQL: ${err instanceof Error ? err.message : String(err)}`,
    where,
    todo: "mend the file; nothing was changed in the database",
  });
}
