import { GuardianError } from "../../base/errors";
import type { Node, Statement } from "./statements";
import { strange } from "./creates";
import { lasting } from "./lasting";
import { runningOf, wordsOf } from "./running";
import { nameOf } from "./touching";

/** Statements that write rows, or change what holds them, and the fields that name the relations. */
const writing: Readonly<Record<string, string>> = {
  InsertStmt: "relation",
  UpdateStmt: "relation",
  DeleteStmt: "relation",
  MergeStmt: "relation",
  TruncateStmt: "relations",
  AlterTableStmt: "relation",
  RenameStmt: "relation",
  CopyStmt: "relation",
};

/** Within these a statement may have others (WITH … AS (DELETE …)); a function's body is not run where it stands. */
const running = new Set([...Object.keys(writing), "SelectStmt"]);

/** Those that change the definition and not the rows. */
const defining = new Set(["AlterTableStmt", "RenameStmt"]);

/** Statements about the whole server or database (PostgreSQL manual, part VI): nothing of a module takes them back. */
const elsewhere =
  /^(AlterDatabase|AlterRole|CreateRole|DropRole|GrantRole|AlterSystem|CreateTableSpace|DropTableSpace|AlterTableSpace|DropOwned|ReassignOwned)/;

/** The same by the words of a DO block, which may stand in a text that it runs. */
const elsewhereInWords =
  /\b((alter|create|drop)\s+(role|user(?!\s+mapping)|group|database|system|tablespace)|(drop|reassign)\s+owned)\b/i;

const changesServer = (statement: Statement): boolean =>
  elsewhere.test(Object.keys(statement.tree)[0] ?? "") ||
  ("DoStmt" in statement.tree && elsewhereInWords.test(wordsOf(runningOf(statement))));

/**
 * What a module drops that it has not made itself, and what it changes of the server, would be gone for good.
 * @param up the statements that make the module
 * @throws GuardianError naming every place
 */
export function refuseLosses(up: readonly Statement[]): void {
  const places = up.flatMap((statement, at) => {
    if (!changesServer(statement) && strange(up, at).length === 0) return [];
    const { text, file, line } = statement;
    const said = text.replaceAll(/\s+/g, " ");
    return [`${file}:${line}: ${said.length > 80 ? `${said.slice(0, 80)}…` : said}`];
  });
  if (places.length === 0) return;
  throw new GuardianError("file-invalid", {
    what: "up.sql drops what it did not make, or changes the server, its roles or the database's settings; no rollback would put that back",
    where: places.join("\n    "),
    todo: "take it out; roles and their rights are foundation/'s",
  });
}

/**
 * What a module writes into tables that are not its own would stay after its rollback, or be gone for good.
 * @param up the statements that make the module
 * @param objects what module.yaml lists, as `table public.t`
 * @throws GuardianError naming every place
 */
export function refuseWrites(up: readonly Statement[], objects: readonly string[]): void {
  // What it makes and does not list is found once it is made.
  const own = new Set(up.flatMap(({ tree }) => relation(made(tree)) ?? []));
  const places = up.flatMap((statement) => {
    if (defining.has(Object.keys(statement.tree)[0] ?? "")) return [];
    const others = written(statement).filter((name) => !own.has(name) && !objects.includes(`table ${name}`));
    return others.map((name) => `${statement.file}:${statement.line}: ${name}`);
  });
  if (places.length === 0) return;
  throw new GuardianError("file-invalid", {
    what: "up.sql writes rows of tables that are not the module's; no rollback would put them back",
    where: places.join("\n    "),
    todo: [
      "list the table in module.yaml, if the module makes it",
      "write rows of other tables by a data migration (sql/data), which can be taken back",
      "declare a feature flag by guardian:flags",
    ],
  });
}

/**
 * What a module does that lasts beyond its transaction would stay though the module is not applied, and after its rollback.
 * @param up the statements that make the module
 * @param objects what module.yaml lists: its own sequences are its own
 * @throws GuardianError naming every place
 */
export function refuseLasting(up: readonly Statement[], objects: readonly string[]): void {
  const places = up.flatMap((statement) =>
    lasting(statement, up, objects).map((call) => `${statement.file}:${statement.line}: ${call}`),
  );
  if (places.length === 0) return;
  throw new GuardianError("file-invalid", {
    what: "up.sql does what lasts beyond its transaction, to what is not the module's: no rollback would take it back",
    where: places.join("\n    "),
    todo: [
      "take it out",
      "list the sequence in module.yaml, if the module makes it",
      "write SET LOCAL, which ends with the transaction",
    ],
  });
}

/** The table that a statement makes, as a RangeVar. */
function made(tree: Statement["tree"]): Node {
  const { CreateStmt, CreateTableAsStmt } = tree as Record<
    string,
    { relation?: Node; into?: { rel?: Node } } | undefined
  >;
  return CreateStmt?.relation ?? CreateTableAsStmt?.into?.rel ?? null;
}

/** @returns the relations whose rows or definition a statement writes, as `schema.name` */
export function written({ tree }: Statement): string[] {
  const kind = Object.keys(tree)[0] ?? "";
  return running.has(kind) ? [...new Set(within(tree))] : [];
}

function within(node: Node): string[] {
  if (Array.isArray(node)) return node.flatMap(within);
  if (node === null || typeof node !== "object") return [];
  return Object.entries(node).flatMap(([key, value]) => {
    const field = writing[key];
    const named = field === undefined || value === null ? [] : [(value as { [key: string]: Node })[field] ?? []].flat();
    return [...named.flatMap((one) => relation(one) ?? []), ...within(value)];
  });
}

/** A RangeVar stands as it is, or in a list under its name. */
function relation(node: Node): string | undefined {
  const listed = (node as { RangeVar?: Node } | null)?.RangeVar;
  return nameOf(listed ?? node);
}
