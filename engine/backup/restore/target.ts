import { randomBytes } from "node:crypto";
import { type Client, escapeIdentifier } from "pg";
import { GuardianError } from "../../base/errors";
import { first, rows } from "../../base/sql";
import { knownServer, type ConnectionSettings, type ServerInfo } from "../../connect";
import { whileConnected } from "../../connect/open";
import type { FoundBackup } from "../adopt";
import type { LiveDatabase } from "./types";

/** A database that is to be restored into, as it was found. */
export interface Target {
  readonly settings: ConnectionSettings;
  readonly server: ServerInfo;
  /** A database of the same server that is there: the target itself, or one to make it from. */
  readonly maintenance: ConnectionSettings;
  readonly exists: boolean;
  /** What is in it that no new database has; the first few of them by name. */
  readonly contents: { readonly count: number; readonly names: readonly string[] };
}

/** While a restore into a database that was there is under way, and after one that failed, this schema is in it. */
export const markSchema = "guardian_restoring";

/** A session on the target; it ends with the signal. */
export const onTarget = <T>(
  settings: ConnectionSettings,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> =>
  whileConnected(settings, { applicationName: "guardian-migration restore", where: settings.toString(), signal }, work);

/** Objects that somebody made: of the system's own, made by initdb, oids are below (transam.h, FirstNormalObjectId). */
const contents = `
  WITH made AS (
    SELECT pg_catalog.format('schema %I', nspname) AS name FROM pg_catalog.pg_namespace
     WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT pg_catalog.format('extension %I', extname) FROM pg_catalog.pg_extension WHERE oid >= 16384
    UNION ALL SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND n.oid < 16384 AND n.nspname !~ '^pg_toast' AND c.relkind <> 'i'
    UNION ALL SELECT pg_catalog.format('function %I.%I', n.nspname, p.proname) FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid >= 16384 AND n.oid < 16384
    UNION ALL SELECT pg_catalog.format('type %I.%I', n.nspname, t.typname) FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
     WHERE t.oid >= 16384 AND n.oid < 16384 AND t.typtype IN ('d', 'e', 'r') AND t.typcategory <> 'A'
    UNION ALL SELECT pg_catalog.format('event trigger %I', evtname) FROM pg_catalog.pg_event_trigger
    UNION ALL SELECT pg_catalog.format('publication %I', pubname) FROM pg_catalog.pg_publication
    UNION ALL SELECT pg_catalog.format('foreign data wrapper %I', fdwname) FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL SELECT pg_catalog.format('large object %s', oid) FROM pg_catalog.pg_largeobject_metadata)
  SELECT (SELECT pg_catalog.count(*) FROM made)::int AS count,
         ARRAY(SELECT name FROM made ORDER BY name = pg_catalog.format('schema %I', $1::text) DESC, name LIMIT 5) AS names`;

/** Looks at the target without writing. @throws GuardianError if the server cannot be reached, or takes no writes */
export async function lookAtTarget(settings: ConnectionSettings, signal: AbortSignal): Promise<Target> {
  const there = await serverIfThere(settings);
  if (there) {
    const found = await onTarget(settings, signal, (client) =>
      first<Target["contents"]>(client, contents, [markSchema]),
    );
    const nothing = { count: 0, names: [] };
    return { settings, server: there, maintenance: settings, exists: true, contents: found ?? nothing };
  }
  const { maintenance, server } = await otherDatabase(settings);
  return { settings, server, maintenance, exists: false, contents: { count: 0, names: [] } };
}

/** The server of a database; nothing where that is not there. */
const serverIfThere = (settings: ConnectionSettings): Promise<ServerInfo | undefined> =>
  knownServer(settings).catch((err: unknown) => {
    if (err instanceof GuardianError && err.code === "database-missing") return undefined;
    throw err;
  });

async function otherDatabase(
  settings: ConnectionSettings,
): Promise<{ maintenance: ConnectionSettings; server: ServerInfo }> {
  const [usual, other] = [settings.withDatabase("postgres"), settings.withDatabase("template1")];
  const server = await serverIfThere(usual);
  return server ? { maintenance: usual, server } : { maintenance: other, server: await knownServer(other) };
}

/**
 * Refuses a database that must not be restored into.
 * @param told names that the operator typed: of one that is not empty, of one that is live
 * @throws GuardianError restore-refused
 */
export function refuseTarget(
  { settings, server, exists, contents: { count, names } }: Target,
  live: readonly LiveDatabase[],
  told: { intoNonempty?: string | undefined; live?: string | undefined; fills: boolean },
): void {
  const { database } = settings.fields;
  const where = settings.explain();
  if (!exists || count === 0) return;
  const isLive = live.some((one) => one.systemIdentifier === server.systemIdentifier && one.database === database);
  const more = count > names.length ? `, … (${count} in all)` : "";
  const found = `${names.join(", ")}${more}`;
  if (isLive && told.live !== database) {
    throw new GuardianError("restore-refused", {
      what: `${database} is the database that the backup or the stack is of, and it is not empty: it is live; nothing was written`,
      where,
      todo: [
        "name another database, which is made: --to '… dbname=NAME'",
        `if it is what you mean, name it once more: --live ${database}`,
      ],
    });
  }
  if (!told.fills || isLive || told.intoNonempty === database) return;
  const unfinished = names.includes(`schema ${markSchema}`)
    ? ` (a restore that did not come to its end left schema ${markSchema}: what is there is not whole)`
    : "";
  throw new GuardianError("restore-refused", {
    what: `${database} is not empty${unfinished}; nothing was written`,
    where: `${where}; in it: ${found}`,
    todo: [
      "name a database that is not there yet: it is made",
      `if it is what you mean, name it once more: --into-nonempty ${database}`,
    ],
  });
}

/** Refuses a server or a database that does not know all that is in a backup. @throws GuardianError restore-refused */
export function refuseUnfit({ manifest }: FoundBackup, { server, settings, exists }: Target): void {
  const where = settings.explain();
  if (server.major < Number.parseInt(manifest.server.version, 10)) {
    throw new GuardianError("restore-refused", {
      what: `the server is PostgreSQL ${server.version}, and the backup is of ${manifest.server.version}: an older one does not know all that is in it; nothing was written`,
      where,
      todo: "restore on a server of that version, or a later one",
    });
  }
  const encoding = manifest.around?.encoding ?? server.encoding;
  if (!exists || encoding === server.encoding) return;
  throw new GuardianError("restore-refused", {
    what: `the database has the encoding ${server.encoding}, and the one that was dumped ${encoding}; nothing was written`,
    where,
    todo: "name a database that is not there yet: it is made as the other was",
  });
}

/**
 * Refuses to restore beside what is there by clients that are newer than the server: they do not stop at the first error
 * (prove/copy.ts), and where a table is there already they would add the backup's rows to it, and set its sequences back.
 * @param clients their major version
 * @throws GuardianError restore-refused
 */
export function refuseGoingOn({ settings, server, contents: { count } }: Target, clients: number): void {
  if (count === 0 || clients <= server.major) return;
  const { database } = settings.fields;
  throw new GuardianError("restore-refused", {
    what: `${database} is not empty, and pg_restore ${clients}, which is newer than the server (PostgreSQL ${server.version}), cannot stop where a table is there already: it would add rows to it, and set sequences back; nothing was written`,
    where: settings.explain(),
    todo: [
      "name a database that is not there yet: it is made",
      `if an older client wrote the backup: install PostgreSQL ${server.major}'s, and restore again`,
    ],
  });
}

/** Where the rows go until they are whole. */
export interface Place {
  readonly settings: ConnectionSettings;
  /** It has a name that says so, and gets its own at the end; else there is a schema in it that says so. */
  readonly draft: boolean;
  /** Something was in it before, which a restore that fails leaves as it was. */
  readonly shared?: boolean;
  /** Whether it was made cannot be told: the connection ended while the server was told to. */
  readonly unsure?: boolean;
}

/** @returns databases of that server that have such a name: of restores that were killed, or that run now */
export async function draftsOf({ settings, maintenance }: Target, signal: AbortSignal): Promise<string[]> {
  const found = await onTarget(maintenance, signal, (client) =>
    rows<{ name: string }>(
      client,
      "SELECT datname AS name FROM pg_catalog.pg_database WHERE datname ~ '_restoring_[0-9a-f]{8}$' ORDER BY 1",
    ),
  );
  const { database } = settings.fields;
  return found.flatMap(({ name }) => (draftName(database, name.slice(-8)) === name ? [name] : []));
}

/** The name of a database that is not whole yet: at most 63 bytes, of which these are the last. */
function draftName(database: string, digits = randomBytes(4).toString("hex")): string {
  const end = `_restoring_${digits}`;
  let begin = database;
  while (Buffer.byteLength(begin + end) > 63) begin = begin.slice(0, -1);
  return begin + end;
}

/**
 * Makes the place: a new database under a name that tells what it is, or a mark in the one that is there.
 * @param create a dump's CREATE DATABASE, for a name
 * @param making hears of a new one before the server is told to make it: it may, though nobody hears of that
 */
export async function makePlace(
  { settings, maintenance, exists, contents: { count } }: Target,
  create: (name: string) => string,
  signal: AbortSignal,
  making: (place: Place) => void,
): Promise<Place> {
  if (exists) {
    await onTarget(settings, signal, (client) => client.query(`CREATE SCHEMA IF NOT EXISTS ${markSchema}`));
    return { settings, draft: false, shared: count > 0 };
  }
  const name = draftName(settings.fields.database);
  const place = { settings: settings.withDatabase(name), draft: true };
  await onTarget(maintenance, signal, (client) => {
    making({ ...place, unsure: true });
    return client.query(create(name));
  });
  return place;
}

/** From here on it counts: the database gets its name, or loses its mark. */
export async function finishPlace(place: Place, target: Target, signal: AbortSignal): Promise<void> {
  if (!place.draft) {
    await onTarget(place.settings, signal, async (client) => {
      // Event triggers of the backup are not for this. Only a superuser may say so.
      await client.query("SET session_replication_role = replica").catch(() => undefined);
      await client.query("SET default_transaction_read_only = off");
      await client.query(`DROP SCHEMA ${markSchema}`);
    });
    return;
  }
  const [draft, final] = [place.settings, target.settings].map(({ fields }) => escapeIdentifier(fields.database));
  await onTarget(target.maintenance, signal, async (client) => {
    await client.query("SET default_transaction_read_only = off");
    await client.query(`ALTER DATABASE ${draft ?? ""} RENAME TO ${final ?? ""}`);
  });
}

/** What is half there, and how to be rid of it. */
export function halfThere(place: Place | undefined, made: readonly string[]): { what: string; todo: string[] } {
  const roles = made.length > 0 ? `; roles that were made stay: ${made.join(", ")}` : "";
  if (!place) return { what: `no database was written to${roles}`, todo: [] };
  const name = place.settings.fields.database;
  if (place.unsure === true) {
    return {
      what: `database ${name}, which is empty, may have been made${roles}`,
      todo: [`drop it, if it is there: DROP DATABASE IF EXISTS ${escapeIdentifier(name)}; then restore again`],
    };
  }
  if (place.shared === true) {
    return {
      what: `database ${name} has what was in it before, and of the backup a part besides${roles}`,
      todo: [
        `do not drop it: take out what came besides, and schema ${markSchema}, which says that something did`,
        "restore into a database that is not there yet, which is made: --to '… dbname=NAME'",
      ],
    };
  }
  return {
    what: `what is in database ${name} is not whole${roles}`,
    todo: place.draft
      ? [`drop it: DROP DATABASE ${escapeIdentifier(name)}; then restore again`]
      : [`schema ${markSchema} in it says so: empty or drop that database, then restore again`],
  };
}

/** What stands between a restore that was compared and its end: one statement, of which nobody may have heard how it ended. */
export function nearlyThere(place: Place, name: string): { what: string; todo: string[] } {
  const draft = place.settings.fields.database;
  if (!place.draft) {
    return {
      what: `all of it is in database ${draft} and was compared`,
      todo: [`take its mark away, if it is there: DROP SCHEMA IF EXISTS ${markSchema}`],
    };
  }
  return {
    what: `all of it was restored and compared, in database ${draft}, which was to get the name ${name}: whether it has it is not known`,
    todo: [
      `see which of the two is there; if ${draft} is, give it the name: ALTER DATABASE ${escapeIdentifier(draft)} RENAME TO ${escapeIdentifier(name)}`,
    ],
  };
}

/** @returns roles that are there, by name, with whether initdb made them */
export async function rolesThere(client: Client): Promise<Map<string, boolean>> {
  const found = await rows<{ name: string; first: boolean }>(
    client,
    "SELECT rolname AS name, oid < 16384 AS first FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'",
  );
  return new Map(found.map(({ name, first: own }) => [name, own]));
}
