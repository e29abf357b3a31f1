import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, type DatabaseError, escapeIdentifier, escapeLiteral } from "pg";
import { fromPostgres, isPostgres } from "../../base/errors";
import { sqlParser } from "../../base/parsers";
import { ConnectionSettings } from "../../connect";
import { whileConnected } from "../../connect/open";
import type { Scratch } from "../../scratch/scratch";
import { rolesFile, type Surroundings } from "../manifest";
import { differs } from "./differs";
import { printed, readToc, useList, type Restorer } from "./toc";
import type { Unproven } from "./types";

/** A session on the scratch; it ends with the signal. */
export const onScratch = <T>(
  settings: ConnectionSettings,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> =>
  whileConnected(
    settings,
    { applicationName: "guardian-migration proof", where: `scratch ${settings.toString()}`, signal },
    work,
  );

/**
 * A superuser of a scratch of ours, whose first role has the name that it has where the backup is from: what superusers
 * granted is granted by that one, under whatever name (manual, GRANT, GRANTED BY).
 */
export async function asFirstRole(scratch: Scratch, name: string, signal: AbortSignal): Promise<ConnectionSettings> {
  const { settings } = scratch;
  const base = settings.withDatabase("template1");
  if (settings.fields.user === name) return base;
  const other = `guardian_proof_${randomBytes(6).toString("hex")}`;
  const [role, first] = [escapeIdentifier(other), escapeIdentifier(settings.fields.user)];
  await onScratch(base, signal, async (client) => {
    await client.query(`CREATE ROLE ${role} SUPERUSER LOGIN`);
    // The first role's own password, as the server keeps it; only who is somebody else can rename it.
    await client.query(`UPDATE pg_catalog.pg_authid SET rolpassword = f.rolpassword FROM pg_catalog.pg_authid f
      WHERE pg_authid.rolname = '${other}' AND f.oid = 10`);
  });
  const renaming = new ConnectionSettings({ ...base.fields, user: other }, base.password(), base);
  await onScratch(renaming, signal, (client) =>
    client.query(`ALTER ROLE ${first} RENAME TO ${escapeIdentifier(name)}`),
  );
  return renaming;
}

/** A statement of a script, as libpg_query tells it: where it stands, in bytes, and of a policy for whom it is. */
interface ParsedStatement {
  stmt_location?: number;
  stmt_len?: number;
  stmt?: {
    CreatePolicyStmt?: {
      policy_name?: string;
      table?: { schemaname?: string; relname?: string };
      roles?: { RoleSpec?: { rolename?: string } }[];
    };
  };
}

/** Parses pg_dumpall's and pg_restore's text, without what is for psql, which becomes blank. */
export async function parseStatements(text: string): Promise<ParsedStatement[]> {
  const { stmts = [] } = (await sqlParser().parse(withoutPsql(text))) as { stmts?: ParsedStatement[] };
  return stmts;
}

const withoutPsql = (text: string): string => text.replace(/^\\(restrict|unrestrict|connect)\b.*$/gm, "");

/** The same as texts. */
export async function statementsOf(text: string): Promise<string[]> {
  const sql = Buffer.from(withoutPsql(text));
  return (await parseStatements(text)).map(({ stmt_location: at = 0, stmt_len: length }) =>
    sql
      .subarray(at, length ? at + length : sql.length)
      .toString()
      // What is before it, and no line within: a text of several lines may look like that.
      .replace(/^(?:\s|--[^\n]*)+/, "")
      .trim(),
  );
}

/** A parameter that this server does not know, or a module that it lacks: the setting cannot be tried here. */
const unknownHere = new Set(["42704", "58P01"]);

/** What is set for everybody is set last: it would hold for what is still to be restored. */
const forAll = /^ALTER ROLE ALL SET /i;

/** Makes the roles of a backup. @throws GuardianError of the restore @returns what could not be set here */
export async function makeRoles(
  backup: string,
  around: Surroundings,
  settings: ConnectionSettings,
  signal: AbortSignal,
): Promise<{ unproven: Unproven[]; later: string[] }> {
  const all = await statementsOf(await readFile(join(backup, rolesFile), "utf8"));
  // The first role is there; everything else that is said of it is done.
  const first = [around.superuser, escapeIdentifier(around.superuser)].map((name) => `CREATE ROLE ${name}`);
  const wanted = all.filter((text) => !first.includes(text) && !forAll.test(text));
  const unproven = await onScratch(settings, signal, (client) =>
    runEach(client, wanted, unprovenSetting(join(backup, rolesFile))),
  );
  return { unproven, later: all.filter((text) => forAll.test(text)) };
}

/**
 * Runs statements one by one, each by itself.
 * @param refused what one comes to that the server refuses; it may throw
 * @returns what came of these
 */
export async function runEach<T>(
  client: Client,
  statements: readonly string[],
  refused: (text: string, err: DatabaseError) => T,
): Promise<T[]> {
  const found: T[] = [];
  for (const text of statements) {
    try {
      await client.query(text);
    } catch (err) {
      if (!isPostgres(err)) throw err;
      found.push(refused(text, err));
    }
  }
  return found;
}

/** A parameter that cannot be set here is not proven; whatever else is refused, the restore failed. */
const unprovenSetting =
  (where: string) =>
  (text: string, err: DatabaseError): Unproven => {
    const [, whose, name] = /^ALTER (?:ROLE|DATABASE) (.+?) SET (\S+) TO /is.exec(text) ?? [];
    if (name === undefined || !unknownHere.has(err.code ?? "")) {
      throw differs("restore", fromPostgres(err, where).what, where);
    }
    const reason = "the scratch does not know the parameter, or lacks the module that it names";
    return { table: `setting ${name} of ${whose ?? ""}`, reason };
  };

/** What a dump says of the database itself: how it is made, and what is set and granted. */
export async function readDatabase(restorer: Restorer, dump: string): Promise<{ create: string; set: string[] }> {
  const { entries } = await readToc(restorer, dump, ["--create"]);
  const own = entries.filter(
    ({ kind, rest }) =>
      /^DATABASE( PROPERTIES)?$/.test(kind) ||
      (/^(ACL|COMMENT|SECURITY LABEL)$/.test(kind) && /^- DATABASE /.test(rest)),
  );
  const list = await useList(restorer.folder, "database", own);
  const text = await printed(restorer, dump, ["--create", "--no-tablespaces", list]);
  const all = (await statementsOf(text)).filter((one) => !/^(SET|SELECT) /.test(one));
  const create = all.find((one) => one.startsWith("CREATE DATABASE ")) ?? "";
  return { create: create.replace(/ TABLESPACE = \S+/, ""), set: all.filter((one) => one !== create) };
}

/** Makes the database, as the dump does where this machine has the locale. */
export async function makeDatabase(
  create: string,
  name: string,
  around: Surroundings,
  settings: ConnectionSettings,
  signal: AbortSignal,
): Promise<Unproven[]> {
  return onScratch(settings, signal, async (client) => {
    // A project's one database is often called as the one that every new server has; that one is empty.
    await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)}`);
    try {
      await client.query(create);
      return [];
    } catch (err) {
      if (!isPostgres(err)) throw err;
      const locale = create.replace(/^.*?ENCODING/s, "ENCODING");
      await client.query(
        `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0 ENCODING ${escapeLiteral(around.encoding)} LOCALE 'C'`,
      );
      const reason = `the scratch lacks ${locale}: the order of texts and of their indexes could not be tried`;
      return [{ table: "locale", reason }];
    }
  });
}

/** Sets and grants what belongs to the database, and what holds for every role. */
export function setLast(
  statements: readonly string[],
  settings: ConnectionSettings,
  signal: AbortSignal,
  where: string,
): Promise<Unproven[]> {
  return onScratch(settings, signal, (client) => runEach(client, statements, unprovenSetting(where)));
}
