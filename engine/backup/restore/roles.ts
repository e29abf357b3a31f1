import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";
import { fromPostgres, isPostgres } from "../../base/errors";
import { first } from "../../base/sql";
import { rolesFile } from "../manifest";
import { statementsOf } from "../prove/place";
import { parsed, rolesIn, tryEach, subject, type Parsed } from "./statements";
import { rolesThere } from "./target";
import type { Left } from "./types";

/** What became of a backup's roles. */
export interface MadeRoles {
  /** In the order in which they were made. */
  readonly made: readonly string[];
  /** Of these, the ones that log in. */
  readonly logIn: readonly string[];
  readonly left: readonly Left[];
  /** Roles that were there, of which nothing was set. */
  readonly kept: ReadonlySet<string>;
  /** What holds for every role of the server, to be set at last; nothing where the server has roles of others. */
  readonly later: readonly string[];
}

/** What a role's attributes are without a word, and what only a superuser may say or grant. */
const usual = /\b(NOSUPERUSER|NOREPLICATION|NOBYPASSRLS|NOCREATEROLE|NOCREATEDB|INHERIT)\b ?/g;
const privileged = /\b(SUPERUSER|REPLICATION|BYPASSRLS|CREATEROLE|CREATEDB)\b ?/g;

/**
 * Makes the roles of a backup that are not there, with their attributes, memberships and settings, without passwords. A role
 * that is there is somebody's: nothing of it is changed, but that roles that were made become members of it.
 * @param made gets their names as they are made
 */
export async function restoreRoles(
  backup: string,
  superuser: string,
  client: Client,
  made: string[],
): Promise<MadeRoles> {
  const file = join(backup, rolesFile);
  const there = await rolesThere(client);
  // On a server that is new, the first role is the backup's own.
  const fresh = [...there.values()].every((own) => own);
  const mine = new Set(fresh && there.has(superuser) ? [superuser] : []);
  const state: State = { client, file, there, mine, made, logIn: [], left: [], later: [], kept: new Set(), fresh };
  for (const one of await parsed(await statementsOf(await readFile(file, "utf8")))) await restoreOne(state, one);
  const { logIn, left, later, kept } = state;
  return { made, logIn, left, later, kept };
}

interface State {
  client: Client;
  file: string;
  there: ReadonlyMap<string, boolean>;
  /** Roles of which everything is set. */
  mine: Set<string>;
  made: string[];
  logIn: string[];
  left: Left[];
  later: string[];
  kept: Set<string>;
  fresh: boolean;
}

async function restoreOne(state: State, statement: Parsed): Promise<void> {
  const { client, file, mine, left } = state;
  const { text, kind, body } = statement;
  if (kind === "CreateRoleStmt") return makeRole(state, text, String(body["role"]));
  const named = [...rolesIn(body)];
  const touches = named.some((name) => mine.has(name));
  if (kind === "AlterRoleStmt") {
    if (!touches) return;
    left.push(...(await attributes(client, text, file)));
    // The first role of a server that is new has the password that it was made with.
    if (canLogIn(body) && named[0] !== undefined && state.made.includes(named[0])) state.logIn.push(named[0]);
  } else if (kind === "GrantRoleStmt") {
    if (touches) left.push(...(await membership(client, text, file)));
    else if (!(await isMember(client, statement)))
      left.push({ what: subject(text), why: "both roles were there, and stay as they are" });
  } else if (kind === "AlterRoleSetStmt" && named.length === 0) {
    if (state.fresh) state.later.push(text);
    else left.push({ what: subject(text), why: "it would hold for roles of others on this server" });
  } else if (kind === "VariableSetStmt" || kind === "SelectStmt") {
    return;
  } else if (touches) left.push(...(await tryEach(client, [text], file)));
}

async function makeRole({ client, there, mine, made, kept }: State, text: string, name: string): Promise<void> {
  if (there.has(name)) {
    if (!mine.has(name)) kept.add(name);
    return;
  }
  await client.query(text).catch((err: unknown) => {
    throw fromPostgres(err, `role ${name}`);
  });
  made.push(name);
  mine.add(name);
}

function canLogIn(body: Parsed["body"]): boolean {
  const options = (body["options"] ?? []) as {
    DefElem?: { defname?: string; arg?: { Boolean?: { boolval?: boolean } } };
  }[];
  return options.some(({ DefElem }) => DefElem?.defname === "canlogin" && DefElem.arg?.Boolean?.boolval === true);
}

/** Attributes as they are, else without what a role has anyway, else without what this user may not give, which is named. */
async function attributes(client: Client, text: string, where: string): Promise<Left[]> {
  const tries = [text, text.replace(usual, ""), text.replace(usual, "").replace(privileged, "")];
  for (const [i, one] of tries.entries()) {
    // Nothing is left to say of it.
    if (/ WITH\s*;?$/.test(one)) return i < 2 ? [] : refused(text);
    try {
      await client.query(one);
      return i < 2 ? [] : refused(text);
    } catch (err) {
      if (!isPostgres(err) || err.code !== "42501") throw fromPostgres(err, where);
    }
  }
  return refused(text);
}

function refused(text: string): Left[] {
  const lost =
    text
      .replace(usual, "")
      .match(privileged)
      ?.map((word) => word.trim()) ?? [];
  return [{ what: `${subject(text)} WITH ${lost.join(" ")}`, why: "only a superuser may give that" }];
}

/** A membership, granted by whom it was, or by us where that role may not any more (manual, GRANT, GRANTED BY). */
async function membership(client: Client, text: string, where: string): Promise<Left[]> {
  const failed = await tryEach(client, [text], where);
  if (failed.length === 0 || !/ GRANTED BY /.test(text)) return failed;
  const again = await tryEach(client, [text.replace(/ GRANTED BY [\s\S]*$/, "")], where);
  return again.length > 0
    ? again
    : [{ what: subject(text), why: "granted by who restores, and not by who granted it" }];
}

async function isMember(client: Client, { body }: Parsed): Promise<boolean> {
  const granted = (body["granted_roles"] as { AccessPriv?: { priv_name?: string } }[] | undefined) ?? [];
  const members = [...rolesIn(body["grantee_roles"])];
  const found = await first<{ there: boolean }>(
    client,
    `SELECT NOT EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) g, pg_catalog.unnest($2::text[]) m
       WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members a
         WHERE pg_catalog.pg_get_userbyid(a.roleid) = g AND pg_catalog.pg_get_userbyid(a.member) = m)) AS there`,
    [granted.map((one) => one.AccessPriv?.priv_name ?? ""), members],
  );
  return found?.there ?? false;
}
