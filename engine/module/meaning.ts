import { createHash } from "node:crypto";
import { parse } from "@libpg-query/parser";
import { parseBody, parseFile, type Node } from "./statements";

/**
 * The meaning of SQL: a hash of its parse tree, without positions, comments and layout. Function bodies are parsed by
 * their own language, so that a comment inside $$ does not change it and a changed literal does.
 */
export async function meaningOf(file: string, sql: string): Promise<string> {
  const statements = await parseFile(file, sql);
  const trees = await Promise.all(statements.map((statement) => meant(statement.tree, statement.text)));
  return hash(trees);
}

/** A hash of any JSON value whose keys' order does not matter: the first 128 bits of SHA-256, in hex. */
export function hash(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex").slice(0, 32);
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
  }
  return JSON.stringify(value ?? null);
}

/** Fields that say where something stands and not what it is (PostgreSQL, parsenodes.h; libpg_query, plpgsql JSON). */
const positions = new Set(["location", "stmt_location", "stmt_len", "list_start", "list_end", "lineno"]);

async function meant(tree: { [key: string]: Node }, text: string): Promise<Node> {
  const bare = strip(tree);
  const body = bodyOf(tree);
  if (!body) return bare;
  return [blank(bare, body.source), body.language, await bodyMeaning(body, text)];
}

function strip(node: Node): Node {
  if (Array.isArray(node)) return node.map(strip);
  if (node === null || typeof node !== "object") return node;
  const kept = Object.entries(node).filter(([key]) => !positions.has(key));
  return Object.fromEntries(kept.map(([key, value]) => [key, strip(value)]));
}

/** The tree without the text of the body, which is compared by its own parse. */
function blank(node: Node, source: string): Node {
  if (node === source) return "";
  if (Array.isArray(node)) return node.map((item) => blank(item, source));
  if (node === null || typeof node !== "object") return node;
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

async function bodyMeaning(body: Body, statement: string): Promise<Node> {
  if (body.language === "sql") return sqlTree(body.source);
  return inner(strip(await parseBody(statement)));
}

async function sqlTree(sql: string): Promise<Node> {
  return strip((await parse(sql)) as Node);
}

/** Replaces each piece of SQL inside a parsed plpgsql function by its own parse tree. */
async function inner(node: Node): Promise<Node> {
  if (Array.isArray(node)) return Promise.all(node.map(inner));
  if (!isObject(node)) return node;
  if (typeof node["query"] === "string") return expression(node["query"], Number(node["parseMode"] ?? 0));
  return Object.fromEntries(
    await Promise.all(Object.entries(node).map(async ([k, v]) => [k, await inner(v)] as const)),
  );
}

/** RawParseMode (PostgreSQL, parser.h): 0 a statement, 2 an expression, 3 and up an assignment. */
async function expression(query: string, mode: number): Promise<Node> {
  if (mode === 0) return sqlTree(query);
  if (mode === 2) return sqlTree(`SELECT ${query}`);
  const [, target, value] = /^([\s\S]*?):?=([\s\S]*)$/.exec(query) ?? [];
  if (target === undefined || value === undefined) return query;
  return [await sqlTree(`SELECT ${target}`), await sqlTree(`SELECT ${value}`)];
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
