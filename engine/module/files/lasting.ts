import { pathOf } from "./dropped";
import { isText, runningOf, textOf, within, type Running } from "./running";
import type { Node, Statement } from "./statements";
import { nameOf } from "./touching";

/** Functions of the server whose doing no ROLLBACK takes back, nor any down.sql (PostgreSQL manual, 9.27, 9.28, F.12). */
const always =
  /^(pg_(try_)?advisory_lock\w*|pg_advisory_unlock\w*|pg_(terminate|cancel)_backend|pg_(create|drop|copy)_\w*replication_slot|pg_replication_\w+|pg_(reload_conf|rotate_logfile|switch_wal|promote|create_restore_point|backup_start|backup_stop)|pg_stat_reset\w*|pg_logical_\w+|dblink\w*|lo_(import|export))$/i;

/** Of a sequence: what it gave or was set to, it keeps. */
const numbers = /^(nextval|setval)$/i;

/** Statements that run expressions where they stand. */
const runs = new Set([
  ...["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "DoStmt"],
  ...["CallStmt", "ExplainStmt", "CreateTableAsStmt", "ExecuteStmt"],
]);

/**
 * What a statement does that lasts though the transaction is rolled back, or in the session after it: a call in its own words, in a DO block, or in a
 * function of the same file that it calls.
 * @param file all statements of the file
 * @param objects what module.yaml lists: the numbers of its own sequences go with these
 * @returns each as one would write it: `setval('public.s')`
 */
export function lasting(statement: Statement, file: readonly Statement[], objects: readonly string[]): string[] {
  const [kind = "", node = null] = Object.entries(statement.tree)[0] ?? [];
  if (kind === "AlterSeqStmt") return restarts(node, objects);
  if (kind === "VariableSetStmt") return settings(node);
  if (!runs.has(kind)) return [];
  const bodies = new Map(file.flatMap(bodyOf));
  const open = [runningOf(statement)];
  const calls: string[] = [];
  for (let tokens = open.pop(); tokens; tokens = open.pop()) {
    tokens.forEach(({ text }, at) => {
      if (tokens[at + 1]?.text !== "(") return;
      const body = bodies.get(text.toLowerCase());
      bodies.delete(text.toLowerCase());
      if (body !== undefined) open.push(within(body));
      // The last of its three: whether the setting ends with the transaction.
      if (/^set_config$/i.test(text) && /^false$/i.test(tokens[at + 6]?.text ?? "")) calls.push("set_config(…, false)");
      if (always.test(text)) calls.push(`${text.toLowerCase()}()`);
      if (numbers.test(text)) calls.push(...numbersOf(text.toLowerCase(), tokens.slice(at + 2, at + 5), objects));
    });
  }
  return [...new Set(calls)];
}

/** @param inside the first tokens between the brackets */
function numbersOf(call: string, inside: readonly Running[], objects: readonly string[]): string[] {
  const [first, , third] = inside;
  const serial = first?.text.toLowerCase() === "pg_get_serial_sequence";
  const literal = serial ? third : first;
  if (!literal || !isText(literal)) return [`${call}(…)`];
  const written = textOf(literal.text).replaceAll('"', "");
  const name = written.includes(".") ? written : `public.${written}`;
  const own = serial ? objects.includes(`table ${name}`) : isOwn(name, objects);
  return own ? [] : [`${call}('${written}')`];
}

/** A sequence that is listed, or by its name one of a column of a table that is. */
const isOwn = (name: string, objects: readonly string[]): boolean =>
  objects.includes(`sequence ${name}`) ||
  (name.endsWith("_seq") && objects.some((it) => it.startsWith("table ") && name.startsWith(`${it.slice(6)}_`)));

/** SET and RESET, but not SET LOCAL, nor what is about the transaction itself. */
function settings(node: Node): string[] {
  const { kind = "", name = "ALL", is_local: local } = node as { kind?: string; name?: string; is_local?: boolean };
  const word = kind.startsWith("VAR_RESET") ? "RESET" : "SET";
  return local || kind === "VAR_SET_MULTI" ? [] : [`${word} ${name}`];
}

function restarts(node: Node, objects: readonly string[]): string[] {
  const { sequence, options = [] } = node as { sequence?: Node; options?: { DefElem?: { defname?: string } }[] };
  const name = nameOf(sequence) ?? "";
  const again = options.some(({ DefElem }) => DefElem?.defname === "restart");
  return again && !isOwn(name, objects) ? [`ALTER SEQUENCE ${name} RESTART`] : [];
}

/** A function's name without its schema, and its body, where that is a text. */
function bodyOf({ tree }: Statement): [string, string][] {
  const made = tree["CreateFunctionStmt"] as { funcname?: Node[]; options?: { DefElem?: Option }[] } | undefined;
  const name = (made?.funcname ?? []).flatMap(pathOf).at(-1);
  const as = made?.options?.find(({ DefElem }) => DefElem?.defname === "as")?.DefElem?.arg?.List?.items ?? [];
  return name === undefined ? [] : [[name.toLowerCase(), as.flatMap(pathOf).join("\n")]];
}

interface Option {
  defname?: string;
  arg?: { List?: { items?: Node[] } };
}
