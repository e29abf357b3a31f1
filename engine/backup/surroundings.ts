import { join } from "node:path";
import { first, rows, type Queryable } from "../base/sql";
import { toClientEnv } from "../connect";
import { catalogueFacts } from "../fingerprint/catalogue";
import { runClient } from "./child";
import { clientBeside } from "./client";
import { rolesFile, type Surroundings } from "./manifest";
import { clientFailure } from "./messages";
import type { DumpOptions, Work } from "./work";

/** The kinds of facts that a dump and roles.sql bring back. What they cannot is not a backup's to promise. */
const kinds = [
  ...["role", "role membership", "setting", "parameter rights"],
  ...["database", "default rights", "event trigger", "extension"],
];

/** Reads them as everybody may; in a session whose text settings are the fingerprint's, so that two databases compare. */
export async function readSurroundings(db: Queryable, excluded: readonly string[]): Promise<Surroundings> {
  const about = await first<{ superuser: string; encoding: string }>(
    db,
    `SELECT pg_catalog.pg_get_userbyid(10) AS superuser, pg_catalog.pg_encoding_to_char(encoding) AS encoding
       FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`,
  );
  const spaces = await rows<{ name: string; folder: string }>(
    db,
    `SELECT spcname AS name, pg_catalog.pg_tablespace_location(oid) AS folder
       FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY 1`,
  );
  const facts: Record<string, Record<string, string>> = {};
  for (const kind of kinds) {
    const text = catalogueFacts[kind] ?? "";
    const found = await rows<{ name: string; value: string }>(db, text, text.includes("$1") ? [[...excluded]] : []);
    facts[kind] = Object.fromEntries(found.map(({ name, value }) => [name, value]));
  }
  const tablespaces = Object.fromEntries(spaces.map(({ name, folder }) => [name, folder]));
  return { superuser: about?.superuser ?? "", encoding: about?.encoding ?? "", tablespaces, facts };
}

/**
 * Writes roles.sql: roles, memberships, what is set for roles and rights on parameters. Without passwords it reads pg_roles
 * alone, which everybody may (manual, pg_dumpall, --no-role-passwords).
 * @throws GuardianError if pg_dumpall is missing or fails
 */
export async function dumpRoles(work: Work, options: DumpOptions): Promise<void> {
  const { settings, lockWait = 60 } = options;
  const path = await clientBeside("pg_dumpall", work.pgDump, options.env);
  const args = [
    "--roles-only",
    "--no-role-passwords",
    `--file=${join(work.folder.path, rolesFile)}`,
    `--database=${settings.fields.database}`,
    `--lock-wait-timeout=${lockWait * 1000}`,
    "--no-password",
  ];
  const result = await runClient(path, args, { env: toClientEnv(settings, "backup"), signal: work.signal });
  if (result.code !== 0) throw clientFailure("pg_dumpall", result, `roles of ${settings.toString()}`);
}
