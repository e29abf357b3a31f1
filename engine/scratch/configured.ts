import { createHash, randomBytes } from "node:crypto";
import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { GuardianError, fromPostgres } from "../base/errors";
import { first } from "../base/sql";
import { knownServer, openClient, resolveConnection, type ConnectionSettings, type DatabaseInput } from "../connect";
import type { Scratch, ScratchOptions } from "./scratch";

/** What a database of ours is called on somebody's server; a name without our mark is left alone. */
const prefix = "guardian_scratch_";

/** The comment of every database that this product makes there. Not to be changed: it says what may be dropped. */
const mark = "guardian-migration: a backup is restored here to prove it; dropped afterwards";

/** What of libpq's variables speaks of this machine, and not of the database that is migrated. */
const general = /^PG(SSL|PASSFILE$|SYSCONFDIR$|CONNECT_TIMEOUT$|REQUIREAUTH$)/;

/**
 * Resolves guardian:scratch. What it does not say is libpq's default: PGHOST, PGUSER, PGPASSWORD, PGSERVICE and their like
 * are of the database that is migrated.
 *
 * @throws GuardianError for a value that is wrong; never quotes a password
 */
export function resolveScratch(input: DatabaseInput, env: NodeJS.ProcessEnv): ConnectionSettings {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith("PG") || general.test(name));
  // A password is named by a variable of any name, and read from there.
  const named = input.passwordFrom?.startsWith("env:") ? input.passwordFrom.slice("env:".length) : undefined;
  try {
    return resolveConnection(input, {
      ...Object.fromEntries(kept),
      ...(named === undefined ? {} : { [named]: env[named] }),
    });
  } catch (err) {
    throw ofScratch(err);
  }
}

/** What connect/ says of guardian:database, said of guardian:scratch. */
function ofScratch(err: unknown): unknown {
  if (!(err instanceof GuardianError)) return err;
  const said = (text: string): string => text.replaceAll("guardian:database", "guardian:scratch");
  const { code, what, where, todo, sqlstate } = err;
  return new GuardianError(code, {
    what: `the scratch server, on which backups are restored: ${said(what)}`,
    ...(where === undefined ? {} : { where: said(where) }),
    todo: todo.map(said),
    ...(sqlstate === undefined ? {} : { sqlstate }),
    cause: err,
  });
}

/**
 * Sees, without writing, that a backup can be restored on the configured server.
 *
 * @throws GuardianError if it cannot be reached, is of another version, is the server that was dumped, does not say in English
 *   what it refuses, or the role may make no database
 */
export async function checkConfigured(settings: ConnectionSettings, options: ScratchOptions): Promise<void> {
  const server = await knownServer(settings).catch((err: unknown) => {
    throw ofScratch(err);
  });
  const where = `guardian:scratch, ${settings.toString()}`;
  if (server.systemIdentifier === options.systemIdentifier) {
    throw new GuardianError("scratch-failed", {
      what: "the scratch server is the server that was dumped: a restore would take its disk and its time",
      where,
      todo: ["name another server in guardian:scratch", "take guardian:scratch out: an embedded server is used then"],
    });
  }
  if (server.major !== options.major) {
    throw new GuardianError("scratch-failed", {
      what: `the scratch server is PostgreSQL ${server.major}, and the dump is of ${options.major}: they cannot be compared`,
      where,
      todo: [`name a PostgreSQL ${options.major} in guardian:scratch`, "take it out: an embedded server is used then"],
    });
  }
  const role = await asked(settings, where, (client) =>
    first<{ may: boolean; language: string }>(
      client,
      `SELECT rolsuper OR rolcreatedb AS may, pg_catalog.current_setting('lc_messages') AS language
       FROM pg_catalog.pg_roles WHERE rolname = current_user`,
    ),
  );
  // Of pg_restore nothing else tells what the server lacks from what the dump lacks. Only a superuser may set it (manual, 20.11.2).
  if (role && !isEnglish(role.language)) {
    throw new GuardianError("scratch-failed", {
      what: `the scratch server's messages are in another language (lc_messages is ${role.language}): a backup might be blamed for what that server lacks`,
      where,
      todo: `there, as a superuser: ALTER ROLE ${escapeIdentifier(server.user)} SET lc_messages = 'C'`,
    });
  }
  if (role?.may) return;
  throw new GuardianError("right-missing", {
    what: `${server.user} may make no database on the scratch server`,
    where,
    todo: `there, as a superuser: ALTER ROLE ${escapeIdentifier(server.user)} CREATEDB`,
  });
}

/** Whether a locale's messages are PostgreSQL's own; empty: the server's environment says, which nobody sees. */
const isEnglish = (locale: string): boolean => /^((C|POSIX|en|english)([._@-].*)?)?$/i.test(locale);

async function asked<T>(settings: ConnectionSettings, where: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await openClient(settings, "guardian-migration scratch");
  try {
    return await work(client);
  } catch (err) {
    throw fromPostgres(err, where, undefined, "scratch-failed");
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** As openScratch() says, on the operator's own server. */
export async function openConfigured(settings: ConnectionSettings, options: ScratchOptions): Promise<Scratch> {
  await checkConfigured(settings, options);
  const made = new Map<string, Client>();
  return {
    settings,
    kind: "configured",
    major: options.major,
    createDatabase: async (name) => {
      const own = prefix + createHash("sha256").update(`${options.owner} ${name}`).digest("hex").slice(0, 16);
      options.signal?.throwIfAborted();
      made.set(own, await make(settings, own));
      return settings.withDatabase(own);
    },
    close: async () => {
      for (const [own, holder] of made) {
        made.delete(own);
        await release(settings, own, holder);
      }
    },
  };
}

/** Drops the database by the session that holds it; where that is lost, only if nobody else has taken the name since. */
async function release(settings: ConnectionSettings, own: string, holder: Client): Promise<void> {
  try {
    await drop(holder, own);
  } catch {
    await asked(settings, where(settings, own), async (client) => {
      if (await hold(client, own)) await drop(client, own);
    });
  } finally {
    await holder.end().catch(() => undefined);
  }
}

/** Makes the database anew. @returns the session that holds it: while that lasts, nobody else takes it for a leftover */
async function make(settings: ConnectionSettings, own: string): Promise<Client> {
  const holder = await openClient(settings, "guardian-migration scratch");
  try {
    await holder.query("SET idle_session_timeout = 0");
    if (!(await hold(holder, own))) {
      throw new GuardianError("scratch-failed", {
        what: "another run restores the same backup's database there",
        where: where(settings, own),
        todo: "wait for it to end, then run again",
      });
    }
    const there = await first<{ mark: string | null }>(
      holder,
      `SELECT pg_catalog.shobj_description(oid, 'pg_database') AS mark FROM pg_catalog.pg_database WHERE datname = $1`,
      [own],
    );
    if (there && there.mark !== mark) {
      throw new GuardianError("scratch-failed", {
        what: "a database of that name is there, and does not bear this product's mark: it is left alone",
        where: where(settings, own),
        todo: "see whose it is, and rename or drop it",
      });
    }
    if (there) await drop(holder, own);
    // It has its name only once it bears the mark: who is killed in between leaves nothing that looks like somebody's.
    const draft = `${own}_${randomBytes(4).toString("hex")}`;
    await holder.query(`CREATE DATABASE ${escapeIdentifier(draft)} TEMPLATE template0`);
    await holder.query(`COMMENT ON DATABASE ${escapeIdentifier(draft)} IS ${escapeLiteral(mark)}`);
    await holder.query(`ALTER DATABASE ${escapeIdentifier(draft)} RENAME TO ${escapeIdentifier(own)}`);
    return holder;
  } catch (err) {
    await holder.end().catch(() => undefined);
    throw fromPostgres(err, where(settings, own), undefined, "scratch-failed");
  }
}

/** An advisory lock of the maintenance database, which ends with its session however that ends. */
async function hold(client: Client, own: string): Promise<boolean> {
  const text = "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0)) AS held";
  return (await first<{ held: boolean }>(client, text, [own]))?.held ?? false;
}

async function drop(client: Client, own: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(own)} WITH (FORCE)`);
}

const where = (settings: ConnectionSettings, own: string): string =>
  `guardian:scratch, ${settings.withDatabase(own).toString()}`;
