import { DatabaseError } from "pg";

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

  constructor(fields: GuardianErrorFields) {
    const todo = typeof fields.todo === "string" ? [fields.todo] : (fields.todo ?? []);
    super(render(fields, todo), fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = "GuardianError";
    this.what = fields.what;
    this.where = fields.where;
    this.todo = todo;
    this.sqlstate = fields.sqlstate;
  }
}

function render(fields: GuardianErrorFields, todo: readonly string[]): string {
  const lines = [fields.sqlstate ? `${fields.what} (SQLSTATE ${fields.sqlstate})` : fields.what];
  if (fields.where) lines.push(`  where: ${fields.where}`);
  todo.forEach((way, i) => lines.push(`  ${i === 0 ? "to do:" : "   or:"} ${way}`));
  return lines.join("\n");
}

/**
 * SQLSTATE classes whose primary message names objects and never row values. Class 22 quotes the value it could not
 * read, P0001 is free text of any function; neither may leave the process. GM is our own (verify.sql).
 */
const speakable = /^(08|0A|23|25|26|28|2B|3D|3F|40|42|53|54|55|57|58|GM)/;

/** True if the error came from the server. */
export function isPostgres(err: unknown): err is DatabaseError {
  return err instanceof DatabaseError;
}

/**
 * Turns what pg threw into an error that may be shown: SQLSTATE and place stay, DETAIL, CONTEXT, the internal query and
 * the message of classes that quote values do not. Anything else is passed through.
 */
export function fromPostgres(err: unknown, where: string, todo?: string | readonly string[]): Error {
  if (err instanceof GuardianError) return err;
  if (isPostgres(err)) {
    const code = err.code ?? "XXXXX";
    const what = speakable.test(code)
      ? `PostgreSQL refused: ${err.message}`
      : "PostgreSQL refused, with a message that may quote a row and is therefore withheld";
    return new GuardianError({ what, where: named(err, where), sqlstate: code, ...(todo ? { todo } : {}) });
  }
  const message = err instanceof Error ? err.message : String(err);
  const code = err instanceof Error && "code" in err ? String(err.code) : "";
  return new GuardianError({
    what: [message || "unknown error", code && `(${code})`].filter(Boolean).join(" "),
    where,
    ...(todo ? { todo } : {}),
  });
}

function named(err: DatabaseError, where: string): string {
  const object = [err.schema, err.table, err.constraint ?? err.column].filter(Boolean).join(".");
  return object ? `${where}, ${object}` : where;
}
