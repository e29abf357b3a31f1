import { resolve } from "node:path";
import { escapeIdentifier, escapeLiteral } from "pg";
import type { Queryable } from "../base/sql";
import { count, type ServerInfo } from "../connect";
import { GuardianError } from "../base/errors";
import { findClient } from "./client";
import { lookAt, type Place } from "./place";
import { mebi, type Room } from "./room";
import { hiddenLargeObjects, type MissingRight, missingRights } from "./tables";

export interface PreflightOptions {
  readonly server: ServerInfo;
  /** "host:port/database as user", for errors. */
  readonly where: string;
  /** Where backups go; need not exist yet. */
  readonly directory: string;
  readonly excludeSchemas: readonly string[];
  /** What will be written there. Absent: too little room is a warning. */
  readonly room?: Room | undefined;
  /** For PATH and GUARDIAN_PG_BIN. */
  readonly env: NodeJS.ProcessEnv;
}

export interface Preflight {
  /** Each of these would make the backup fail. */
  readonly errors: readonly GuardianError[];
  /** The same one by one, however many an error sums up: the same has the same name the next time, and no sizes. */
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Finds out, without writing anything anywhere, whether a backup can be made: client programs, rights, folder, space.
 * For preview, and again before the dump.
 */
export async function preflight(db: Queryable, options: PreflightOptions): Promise<Preflight> {
  const { server, where, directory, excludeSchemas, env } = options;
  const errors: GuardianError[] = [];
  const faults: string[] = [];
  const add = (err: GuardianError, ...each: string[]): void => {
    errors.push(err);
    faults.push(...each);
  };
  const collect = (err: unknown): undefined => {
    if (!(err instanceof GuardianError)) throw err;
    add(err, `${err.code}: ${err.what}`);
  };
  for (const name of ["pg_dump", "pg_dumpall", "pg_restore"] as const)
    await findClient(name, server.major, env).catch(collect);
  const place = await lookAt(resolve(directory)).catch(collect);
  if (place && options.room && place.free < options.room.here)
    add(roomError(options.room, place, resolve(directory)), "too little room");
  const missing = await missingRights(db, excludeSchemas);
  if (missing.length > 0)
    add(rightsError(missing, server.user, where), ...missing.map(({ kind, name }) => `no right to ${kind} ${name}`));
  const hidden = await hiddenLargeObjects(db);
  if (hidden.length > 0)
    add(largeObjectsError(hidden, server.user, where), ...hidden.map((oid) => `no right to large object ${oid}`));
  return { errors, faults, warnings: place ? await placeWarnings(db, resolve(directory), place, options.room) : [] };
}

const shown = 20;

/** Names what is missing by the statements that mend it. */
function rightsError(missing: readonly MissingRight[], user: string, where: string): GuardianError {
  const role = escapeIdentifier(user);
  const bypass = `ALTER ROLE ${role} BYPASSRLS;`;
  const statements = missing.map(({ kind, name }) =>
    kind === "rows"
      ? bypass
      : `GRANT ${kind === "schema" ? "USAGE" : "SELECT"} ON ${kind.toUpperCase()} ${name} TO ${role};`,
  );
  const hiding = missing.filter(({ kind }) => kind === "rows").map(({ name }) => name);
  const unique = [...new Set(statements)];
  const more = unique.length > shown ? [`… and ${unique.length - shown} more of this kind`] : [];
  const objects = missing.length - hiding.length;
  const names = hiding.length > 5 ? [...hiding.slice(0, 5), `${hiding.length - 5} more`] : hiding;
  const parts = [
    ...(objects > 0 ? [`${user} may not read ${objects} ${objects === 1 ? "object" : "objects"}`] : []),
    ...(hiding.length > 0 ? [`row security hides rows of ${names.join(", ")} from ${user}`] : []),
  ];
  return new GuardianError("right-missing", {
    what: `${parts.join(", and ")}; a backup must hold all`,
    where,
    todo: [`as a superuser or the owner: ${[...unique.slice(0, shown), ...more].join(" ")}`, "connect as their owner"],
  });
}

/** Names those that are hidden by their oids: nothing else tells one from another. */
function largeObjectsError(oids: readonly string[], user: string, where: string): GuardianError {
  const role = escapeIdentifier(user);
  const all = `SELECT pg_catalog.format('GRANT SELECT ON LARGE OBJECT %s TO %I', oid, ${escapeLiteral(user)}) FROM pg_catalog.pg_largeobject_metadata \\gexec`;
  const named = oids.slice(0, shown).join(", ");
  const more = oids.length > shown ? ` and ${oids.length - shown} more` : "";
  return new GuardianError("right-missing", {
    what: `${user} may not read ${oids.length} large ${oids.length === 1 ? "object" : "objects"}, and a backup must hold all`,
    where: `${where}; pg_largeobject_metadata.oid ${named}${more}`,
    todo: [
      `as their owner or a superuser: GRANT SELECT ON LARGE OBJECT ${named} TO ${role};${more ? ` or, in psql, for all: ${all}` : ""}`,
      "connect as a superuser",
    ],
  });
}

function roomError(room: Room, place: Place, directory: string): GuardianError {
  return new GuardianError("disk-too-small", {
    what: `${mebi(room.here)} are needed for the backup, and ${mebi(place.free)} are free: ${room.why}`,
    where: directory,
    todo: ["free space there", "set guardian:backup.directory to a larger disk"],
  });
}

/** A compressed dump is usually smaller than the database, so too little space is a warning where nothing is asked for. */
async function placeWarnings(
  db: Queryable,
  directory: string,
  place: Place,
  room: Room | undefined,
): Promise<string[]> {
  const text = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes";
  const size = count((await db.query<{ bytes: string }>(text)).rows[0]?.bytes);
  const small = `the database has ${mebi(size)}, and only ${mebi(place.free)} are free for its backup in ${directory}`;
  const brief = `${directory} is in memory: a restart of this machine takes the backup away`;
  return [...(!room && place.free < size ? [small] : []), ...(place.inMemory ? [brief] : [])];
}
