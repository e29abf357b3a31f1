import { GuardianError } from "../../base/errors";
import { sqlParser } from "../../base/parsers";
import { lex } from "./lexer";
import type { SqlFile } from "./up-files";

/** A node of PostgreSQL's parse tree as JSON (libpg_query); its keys are the server's own field names. */
export type Node = null | boolean | number | string | Node[] | { [key: string]: Node };

/** One statement of a file. */
export interface Statement {
  /** The statement as written, without the comments before it and the semicolon after it. */
  text: string;
  /** Line of the file on which it begins, from 1. */
  line: number;
  /** Where it begins in the file, in UTF-16 units from 0. */
  offset: number;
  /** The file, as errors name it. */
  file: string;
  /** The file's whole text. */
  source: string;
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
  let tree: { stmts?: { stmt: { [key: string]: Node }; stmt_location?: number; stmt_len?: number }[] };
  try {
    tree = (await parseSql(sql)) as typeof tree;
  } catch (err) {
    throw syntaxError(file, sql, err);
  }
  for (const { stmt, stmt_location: start = 0 } of tree.stmts ?? []) {
    if ("TransactionStmt" in stmt) throw endsTransaction(file, sql, start);
  }
  // The tree counts in bytes of UTF-8, not in JavaScript's characters.
  const bytes = Buffer.from(sql);
  return (tree.stmts ?? []).map((raw) => {
    const start = raw.stmt_location ?? 0;
    const whole = bytes.subarray(start, raw.stmt_len ? start + raw.stmt_len : bytes.length).toString();
    const lead = leadingBlank(whole);
    const before = bytes.subarray(0, start).toString() + whole.slice(0, lead);
    const text = whole.slice(lead).trimEnd();
    return { text, line: before.split("\n").length, offset: before.length, file, source: sql, tree: raw.stmt };
  });
}

/**
 * The statements of files that are run one after the other, each with its own place.
 * @throws GuardianError as parseFile, for the first file that is wrong
 */
export async function parseFiles(files: readonly SqlFile[]): Promise<Statement[]> {
  const statements: Statement[] = [];
  for (const { file, text } of files) statements.push(...(await parseFile(file, text)));
  return statements;
}

function endsTransaction(file: string, sql: string, bytes: number): GuardianError {
  const before = Buffer.from(sql).subarray(0, bytes).toString();
  return new GuardianError("transaction-broken", {
    what: "BEGIN, COMMIT, ROLLBACK and SAVEPOINT are the engine's: what comes after them would not be undone with the rest",
    where: excerpt(file, sql, before.length + leadingBlank(sql.slice(before.length))),
    todo: "take it out of the file; nothing was changed in the database",
  });
}

/**
 * The parse tree of SQL. libpg_query does not look past a comment where the grammar looks ahead (`WITH -- why` before
 * `ORDINALITY`), so that a text that it refuses is tried without comments as well.
 */
export async function parseSql(sql: string): Promise<unknown> {
  return withoutComments(sql, (text) => sqlParser().parse(text));
}

/** Tries a parser on the text, then on the same with every comment's bytes blank; the first refusal counts. */
export async function withoutComments<T>(sql: string, parse: (text: string) => Promise<T>): Promise<T> {
  try {
    return await parse(sql);
  } catch (err) {
    try {
      return await parse(blankComments(sql));
    } catch {
      throw err;
    }
  }
}

/** Every byte of a comment becomes a blank, so that places stay. */
function blankComments(sql: string): string {
  const blank = (text: string): string =>
    text.replace(/[^\n\r]/gu, (character) => " ".repeat(Buffer.byteLength(character)));
  return [...lex(sql)].map(({ kind, text }) => (kind === "comment" ? blank(text) : text)).join("");
}

/** Length of what stands before the first token: blanks and comments. */
function leadingBlank(text: string): number {
  for (const { kind, start } of lex(text)) if (kind !== "blank" && kind !== "comment") return start;
  return text.length;
}

/** The server and its parser count characters (code points); JavaScript counts UTF-16 units. */
export function utf16Offset(text: string, characters: number): number {
  let at = 0;
  for (let i = 0; i < characters && at < text.length; i++) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return at;
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

/**
 * What the parser said, with the place it names.
 * @param piece the text that was parsed, if it is not the whole file, and where it begins there
 */
export function syntaxError(file: string, sql: string, err: unknown, piece = { text: sql, offset: 0 }): GuardianError {
  const details = (err as { sqlDetails?: { cursorPosition: number } }).sqlDetails;
  const at = piece.offset + (details ? utf16Offset(piece.text, details.cursorPosition) : 0);
  const where = details || piece.offset > 0 ? excerpt(file, sql, at) : file;
  return new GuardianError("sql-invalid", {
    what: `the file is not valid SQL: ${err instanceof Error ? err.message : String(err)}`,
    where,
    todo: "mend the file; nothing was changed in the database",
  });
}
