import { DatabaseError } from "pg";
import type { ErrorCode } from "../../spec/codes";

/** What an error is made of; every text is free of passwords and row values. */
export interface GuardianErrorFields {
  /** What happened, one sentence. */
  what: string;
  /** To what it happened: a resource, an object, a file with line and column. */
  where?: string;
  /** What to do now, one line a way out. */
  todo?: string | readonly string[];
  /** PostgreSQL's five-character code, where the database said no (manual, appendix A). */
  sqlstate?: string;
  cause?: unknown;
}

/** The one error class of this product: says what, where and what to do. */
export class GuardianError extends Error {
  readonly what: string;
  readonly where: string | undefined;
  readonly todo: readonly string[];
  readonly sqlstate: string | undefined;

  constructor(
    /** What runbooks and alerts match on. */
    readonly code: ErrorCode,
    fields: GuardianErrorFields,
  ) {
    const todo = typeof fields.todo === "string" ? [fields.todo] : (fields.todo ?? []);
    super(render(code, fields, todo), fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = "GuardianError";
    this.what = fields.what;
    this.where = fields.where;
    this.todo = todo;
    this.sqlstate = fields.sqlstate;
  }
}

function render(code: ErrorCode, fields: GuardianErrorFields, todo: readonly string[]): string {
  const codes = `${fields.sqlstate ? ` (SQLSTATE ${fields.sqlstate})` : ""} [${code}]`;
  // At the end of the first line, before the colon of a list: lines of logs are matched one by one.
  const lines = [fields.what.replace(/:?(?=\n|$)/, (colon) => codes + colon)];
  if (fields.where) lines.push(`  where: ${fields.where}`);
  todo.forEach((way, i) => lines.push(`  ${i === 0 ? "to do:" : "   or:"} ${way}`));
  return lines.join("\n");
}

/**
 * SQLSTATE classes whose primary message names objects and never row values. Class 22 quotes the value it could not
 * read, P0001 is free text of any function; neither may leave the process. GM is our own (verify.sql).
 */
const speakable = /^(08|0A|23|25|26|28|2B|3D|3F|40|42|53|54|55|57|58|GM)/;

/** Codes of errors that name objects: a text that is read as a name (a cast to regclass does so) gets quoted in them. */
const naming = /^(42|3F)/;

/**
 * Of these, the ones whose message names only objects that are there, types, columns that were found, or nothing: no text
 * that was read from a row gets into them, whatever was asked (PostgreSQL manual, appendix A; errmsg of each in
 * src/backend). Not among them: a syntax error quotes the token it stumbled over, which may be a literal.
 */
const existing = new Set([
  ...["42702", "42710", "42723", "42725", "42803", "42804", "42809", "42830", "42846"],
  ...["42P06", "42P07", "42P10", "42P16", "42P17", "42P18", "42P19", "42P20", "42P21", "42P22"],
]);

/** Who says 42501 of an object or a row's table (aclchk.c, execMain.c, rls.c). A file that cannot be opened has it too. */
const forbidding = new Set(["aclcheck_error", "aclcheck_error_col", "ExecWithCheckOptions", "check_enable_rls"]);

/**
 * The server's functions that report an unknown name of a statement's own text (parse_relation.c, parse_func.c,
 * parse_oper.c). A name that is looked up at run time is reported by others.
 */
const parsing = new Set(["parserOpenTable", "errorMissingRTE", "errorMissingColumn", "ParseFuncOrColumn", "op_error"]);

/** A CONTEXT line of a statement that is written in a function. What EXECUTE runs may be put together from rows. */
const written =
  /^(PL\/pgSQL function .+ line \d+ at (?!EXECUTE|FOR over EXECUTE|OPEN|RETURN QUERY|PL)[\w ().-]+|SQL function ".+" (statement \d+|during (startup|inlining)))$/s;

/** A CONTEXT line of a parameter that cannot be read: the engine binds names only where a name is wanted. */
const binding = /^unnamed portal parameter \$\d+( = '.*')?$/s;

/**
 * May the message be shown? RAISE (pl_exec.c) gives any text any SQLSTATE; and inside a function a name may come from a
 * row, or the query be put together from rows.
 */
function speaks(err: DatabaseError): boolean {
  const code = err.code ?? "";
  if (code.startsWith("GM")) return true;
  if (!speakable.test(code) || raised(err)) return false;
  const inside = err.internalQuery !== undefined || err.where !== undefined;
  return !inside || !naming.test(code) || ofOwnText(err, code);
}

/** True if an error that names objects, from inside a function, says only what was written by who made the function. */
function ofOwnText(err: DatabaseError, code: string): boolean {
  if (existing.has(code) || (code === "42501" && forbidding.has(err.routine ?? ""))) return true;
  const lines = (err.where ?? "").split("\n");
  if (lines.every((line) => binding.test(line))) return true;
  return parsing.has(err.routine ?? "") && written.test(lines[0] ?? "");
}

function raised(err: DatabaseError): boolean {
  return err.routine === "exec_stmt_raise";
}

/** True if the error came from the server. */
export function isPostgres(err: unknown): err is DatabaseError {
  return err instanceof DatabaseError;
}

/** @returns the SQLSTATE of an error, told by the server or by us after it */
export function sqlstateOf(err: unknown): string | undefined {
  return err instanceof GuardianError ? err.sqlstate : isPostgres(err) ? err.code : undefined;
}

/**
 * True for an error that a row is to blame for: class 22 (data exception), 23 (integrity constraint violation), what a
 * trigger raises, and an index entry that is too long (PostgreSQL manual, appendix A).
 */
export function isRowError(err: unknown): boolean {
  return /^(22|23|P0001|54000)/.test(sqlstateOf(err) ?? "");
}

/**
 * Turns what pg threw into an error that may be shown: SQLSTATE and place stay, DETAIL, CONTEXT, the internal query and
 * the message of classes that quote values do not. Anything else is passed through.
 * @param otherwise the code of what the server did not say
 */
export function fromPostgres(
  err: unknown,
  where: string,
  todo?: string | readonly string[],
  otherwise: ErrorCode = "unexpected",
): GuardianError {
  if (err instanceof GuardianError) return err;
  if (isPostgres(err)) return speaks(err) ? told(err, where, todo) : withheld(err, where, todo);
  const message = err instanceof Error ? err.message : String(err);
  const code = err instanceof Error && "code" in err ? String(err.code) : "";
  if (err instanceof Error && err.name === "AbortError") return stopped(err, where);
  return new GuardianError(otherwise, {
    what: [message || "unknown error", code && `(${code})`].filter(Boolean).join(" "),
    where,
    ...(todo ? { todo } : {}),
    cause: err,
  });
}

/** What Node throws out of a wait that was cut off, or the reason itself: somebody asked for an end. */
function stopped(err: Error, where: string): GuardianError {
  const reason = err.cause instanceof Error ? err.cause.message : err.message;
  return new GuardianError("interrupted", {
    what: `${/^Th(e|is) operation was aborted$/.test(reason) ? "stopped on request" : reason}; what was under way is rolled back`,
    where,
    todo: "run the same again: it goes on from what the ledger says is done",
    cause: err,
  });
}

/**
 * The same for a statement that may read rows. An error that names an object is shown if the server points into the
 * statement itself, or if all that it quotes stands in the statement's own text.
 * @param text the SQL that was sent, or the file that it is from; it holds no row values
 */
export function fromStatement(err: unknown, where: string, todo: string | readonly string[], text: string): Error {
  if (!isPostgres(err) || !naming.test(err.code ?? "")) return fromPostgres(err, where, todo);
  const pointed = err.position !== undefined && err.internalQuery === undefined;
  const quoted = [...err.message.matchAll(/["«»„“”]([^"«»„“”]+)["«»„“”]/g)].map((match) => match[1] ?? "");
  const own = quoted.every((name) => name.split(".").every((part) => text.includes(part)));
  const shown = pointed || own || ofOwnText(err, err.code ?? "");
  return !raised(err) && shown ? told(err, where, todo) : withheld(err, where, todo);
}

function told(err: DatabaseError, where: string, todo?: string | readonly string[]): GuardianError {
  // What depends on an object is named in DETAIL alone, by names alone (dependent_objects_still_exist; dependency.c).
  const depending = err.code === "2BP01" && err.detail ? `: ${err.detail.replaceAll("\n", ", ")}` : "";
  const what = `PostgreSQL refused: ${err.message}${depending}`;
  return new GuardianError("postgres-refused", {
    what,
    where: named(err, where),
    sqlstate: err.code ?? "XXXXX",
    ...(todo ? { todo } : {}),
  });
}

function withheld(err: DatabaseError, where: string, todo?: string | readonly string[]): GuardianError {
  return new GuardianError("postgres-refused", {
    what: "PostgreSQL refused, with a message that may quote a row and is therefore withheld",
    where: named(err, where),
    sqlstate: err.code ?? "XXXXX",
    ...(todo ? { todo } : {}),
  });
}

function named(err: DatabaseError, where: string): string {
  // RAISE may put anything into these fields (PostgreSQL manual, 43.9.1).
  if (err.routine === "exec_stmt_raise") return where;
  const object = [err.schema, err.table, err.constraint ?? err.column].filter(Boolean).join(".");
  return object ? `${where}, ${object}` : where;
}
