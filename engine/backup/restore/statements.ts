import { type Client, escapeIdentifier } from "pg";
import { fromPostgres } from "../../base/errors";
import { sqlParser } from "../../base/parsers";
import { runEach } from "../prove/place";
import type { Left } from "./types";

/** One statement of a dump as the parser tells it: `CreateRoleStmt` and what it says. */
export interface Parsed {
  readonly text: string;
  readonly kind: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** @param texts one statement each */
export async function parsed(texts: readonly string[]): Promise<Parsed[]> {
  const found: Parsed[] = [];
  for (const text of texts) {
    const { stmts } = (await sqlParser().parse(text)) as { stmts?: { stmt?: Record<string, unknown> }[] };
    const [kind, body] = Object.entries(stmts?.[0]?.stmt ?? {})[0] ?? ["", {}];
    found.push({ text, kind, body: body as Record<string, unknown> });
  }
  return found;
}

/** Every role that a statement names. */
export function rolesIn(value: unknown, found = new Set<string>()): Set<string> {
  if (Array.isArray(value)) value.forEach((one) => rolesIn(one, found));
  else if (typeof value === "object" && value !== null) {
    for (const [key, inside] of Object.entries(value)) {
      // A role by name: PUBLIC, CURRENT_USER and their like are of another type.
      if (key === "rolename" && typeof inside === "string") found.add(inside);
      else rolesIn(inside, found);
    }
  }
  return found;
}

/** What a statement is about, for a list of what was left: its words up to a value, which may be a secret. */
export const subject = (text: string): string =>
  text
    .replace(/\s+(TO|=|IS|WITH|PASSWORD)\s[\s\S]*$/i, "")
    .replace(/;$/, "")
    .replace(/\s+/g, " ")
    .slice(0, 120);

/** Runs statements one by one, each by itself. @returns those that the server refused */
export const tryEach = (client: Client, statements: readonly string[], where: string): Promise<Left[]> =>
  runEach(client, statements, (text, err) => ({ what: subject(text), why: fromPostgres(err, where).what }));

/**
 * A dump's statement about its database, for one of another name. Names are quoted or not as pg_dump saw fit, and the first
 * after the word DATABASE is the one.
 */
export function forDatabase(text: string, was: string, is: string): string {
  const spelled = [escapeIdentifier(was), was].map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const named = new RegExp(`\\bDATABASE (?:${spelled})(?=[\\s;]|$)`);
  return text
    .replace(named, () => `DATABASE ${escapeIdentifier(is)}`)
    .replace(/(WHERE datname = )'(?:[^']|'')*'/, (_, before: string) => `${before}'${is.replaceAll("'", "''")}'`);
}
