import { canonical, hash } from "../../base/hash";
import { sqlParser } from "../../base/parsers";
import { remembered } from "../../base/remembered";
import { lex } from "./lexer";
import { parseFiles, parseSql, syntaxError, withoutComments, type Node, type Statement } from "./statements";
import type { SqlFile } from "./up-files";

/**
 * The meaning of SQL: a hash of its parse tree, without positions, comments and layout. Function bodies are read by their
 * own language, so that a comment inside $$ does not change it and a changed literal does.
 * @throws GuardianError for SQL that does not parse, in a function's body too, with its place
 */
export async function meaningOf(file: string, sql: string): Promise<string> {
  return meaningOfFiles([{ file, text: sql }]);
}

/** The meaning of files that are one script; where one file ends and the next begins says nothing. */
export function meaningOfFiles(files: readonly SqlFile[]): Promise<string> {
  return remembered("meaning", files, async () => hash(await Promise.all((await parseFiles(files)).map(meant))));
}

/** Fields that say where something stands and not what it is (PostgreSQL, parsenodes.h). */
const positions = new Set(["location", "name_location", "stmt_location", "stmt_len"]);

async function meant(statement: Statement): Promise<Node> {
  const bare = strip(statement.tree);
  const body = bodyOf(statement.tree);
  if (!body) return bare;
  return [blank(bare, body.source), body.language, await bodyMeaning(statement, body)];
}

/** The tree without positions; the order of a statement's options (LANGUAGE, STABLE, SET …) says nothing either. */
function strip(node: Node): Node {
  if (Array.isArray(node)) {
    const items = node.map(strip);
    const options = items.length > 1 && items.every((item) => isObject(item) && "DefElem" in item);
    return options ? items.sort((a, b) => (canonical(a) < canonical(b) ? -1 : 1)) : items;
  }
  if (!isObject(node)) return node;
  const kept = Object.entries(node).filter(([key]) => !positions.has(key));
  return Object.fromEntries(kept.map(([key, value]) => [key, strip(value)]));
}

/** The tree without the text of the body, which is compared by its own parse. */
function blank(node: Node, source: string): Node {
  if (node === source) return "";
  if (Array.isArray(node)) return node.map((item) => blank(item, source));
  if (!isObject(node)) return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, blank(value, source)]));
}

interface Body {
  language: string;
  source: string;
}

/** The body of CREATE FUNCTION or DO, where it is a string in a language we can read. */
function bodyOf(tree: { [key: string]: Node }): Body | undefined {
  const [kind, statement] = Object.entries(tree)[0] ?? [];
  const list = kind === "CreateFunctionStmt" ? "options" : kind === "DoStmt" ? "args" : undefined;
  if (!list || !isObject(statement)) return undefined;
  const options = new Map<string, string>();
  for (const item of asList(statement[list])) {
    const element = isObject(item) ? item["DefElem"] : undefined;
    if (!isObject(element) || typeof element["defname"] !== "string") continue;
    const value = firstString(element["arg"] ?? null);
    if (value !== undefined) options.set(element["defname"], value);
  }
  const source = options.get("as");
  const language = options.get("language") ?? "plpgsql";
  return source !== undefined && (language === "plpgsql" || language === "sql") ? { language, source } : undefined;
}

/**
 * A body in SQL by its parse tree. One in PL/pgSQL by its tokens, comments aside: the tree that libpg_query gives of it
 * leaves out COLLATE and # options, and refuses variables of composite types that it cannot look up.
 */
async function bodyMeaning(statement: Statement, body: Body): Promise<Node> {
  const at = Math.max(0, statement.text.indexOf(body.source));
  const piece = { text: body.source, offset: statement.offset + at };
  try {
    if (body.language === "sql") return strip((await parseSql(body.source)) as Node);
    await checkSyntax(statement.text, body.source);
    return tokens(body.source);
  } catch (err) {
    throw syntaxError(statement.file, statement.source, err, {
      ...piece,
      offset: piece.offset + namedOnce(body.source, err),
    });
  }
}

/** The parser gives no place in PL/pgSQL, but quotes a word; where that stands only once, it is the place. */
function namedOnce(source: string, err: unknown): number {
  if ("sqlDetails" in (err as object)) return 0;
  const word = /^syntax error at or near "(.+)"$/s.exec((err as Error).message)?.[1];
  const at = word === undefined ? -1 : source.indexOf(word);
  return word !== undefined && at >= 0 && source.indexOf(word, at + 1) < 0 ? at : 0;
}

/** What is plainly no PL/pgSQL is told before anything connects; the rest is the server's to judge. */
async function checkSyntax(statement: string, source: string): Promise<void> {
  try {
    await withoutComments(source, (text) => sqlParser().parsePlPgSQL(statement.replace(source, () => text)));
  } catch (err) {
    if (err instanceof Error && err.message.startsWith("syntax error")) throw err;
  }
}

/** The tokens without blanks and comments, names and keywords in the case to which they fold. */
function tokens(source: string): string[] {
  return [...lex(source)]
    .filter(({ kind }) => kind !== "blank" && kind !== "comment")
    .map(({ kind, text }) => (kind === "word" ? text.toLowerCase() : text));
}

function firstString(node: Node): string | undefined {
  if (!isObject(node)) return undefined;
  if (isObject(node["String"])) return typeof node["String"]["sval"] === "string" ? node["String"]["sval"] : undefined;
  if (isObject(node["List"])) return firstString(asList(node["List"]["items"])[0] ?? null);
  return undefined;
}

function isObject(node: Node | undefined): node is { [key: string]: Node } {
  return typeof node === "object" && node !== null && !Array.isArray(node);
}

function asList(node: Node | undefined): Node[] {
  return Array.isArray(node) ? node : [];
}
