import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { escapeLiteral } from "pg";
import { sqlName } from "../base/names";
import { first, rows, type Queryable } from "../base/sql";
import { toClientEnv } from "../connect";
import { catalogueFacts } from "../fingerprint/catalogue";
import { runClient } from "./child";
import { clientBeside } from "./client";
import { rolesFile, type Surroundings } from "./manifest";
import { readMembers } from "./members";
import { clientFailure } from "./messages";
import { readReach } from "./reach";
import type { DumpOptions, Work } from "./work";

/**
 * The facts that a dump and roles.sql bring back, each a query for names and values. What they cannot is not a backup's to
 * promise: the owner of an extension, tablespaces.
 */
const queries: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["role", "role membership", "setting", "parameter rights", "default rights", "event trigger"].map((kind) => [
      kind,
      catalogueFacts[kind] ?? "",
    ]),
  ),
  database: `
    SELECT f.name, f.value FROM pg_catalog.pg_database d,
      LATERAL (VALUES ('owner', pg_catalog.pg_get_userbyid(d.datdba)::text),
        ('encoding', pg_catalog.pg_encoding_to_char(d.encoding)::text),
        ('locale', pg_catalog.concat_ws(' ', d.datcollate, d.datctype, pg_catalog.to_jsonb(d)->>'datlocprovider',
          coalesce(pg_catalog.to_jsonb(d)->>'datlocale', pg_catalog.to_jsonb(d)->>'daticulocale'),
          pg_catalog.to_jsonb(d)->>'daticurules')),
        ('connections', pg_catalog.concat_ws(' ', d.datistemplate, d.datallowconn, d.datconnlimit)),
        ('rights', (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', CASE a.grantee WHEN 0 THEN 'PUBLIC'
            ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable), ', '
            ORDER BY pg_catalog.pg_get_userbyid(a.grantee), a.privilege_type)
          FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a))) f (name, value)
     WHERE d.datname = pg_catalog.current_database()`,
  // That it is enabled comes back by hand alone (manual, pg_dump, Notes).
  subscription: `
    SELECT subname AS name, pg_catalog.concat_ws(' ', subslotname, subpublications) AS value
      FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
     WHERE d.datname = pg_catalog.current_database()`,
  extension: `
    SELECT extname AS name, pg_catalog.concat_ws(' in ', extversion, n.nspname) AS value
      FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace`,
};

/** @returns bytea_output as a new session of this role has it in this database, whatever this session set */
export async function byteaOutput(db: Queryable): Promise<string> {
  const text = "SELECT reset_val AS value FROM pg_catalog.pg_settings WHERE name = 'bytea_output'";
  return (await first<{ value: string }>(db, text))?.value ?? "hex";
}

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
  for (const [kind, text] of Object.entries(queries)) {
    const found = await rows<{ name: string; value: string }>(db, text, text.includes("$1") ? [[...excluded]] : []);
    facts[kind] = Object.fromEntries(found.map(({ name, value }) => [name, value]));
  }
  const bytea = await byteaOutput(db);
  const tablespaces = Object.fromEntries(spaces.map(({ name, folder }) => [name, folder]));
  return {
    superuser: about?.superuser ?? "",
    encoding: about?.encoding ?? "",
    ...(bytea === "hex" ? {} : { bytea }),
    tablespaces,
    facts,
    members: await readMembers(db),
    reach: await readReach(db),
  };
}

/**
 * Writes roles.sql: roles, memberships, what is set for roles and rights on parameters. Without passwords it reads pg_roles
 * alone, which everybody may (manual, pg_dumpall, --no-role-passwords).
 * @throws GuardianError if pg_dumpall is missing or fails
 */
export async function dumpRoles(work: Work, options: DumpOptions, forAll: readonly string[]): Promise<void> {
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
  const file = join(work.folder.path, rolesFile);
  if (forAll.length > 0) await appendFile(file, ["", "-- For every role", "", ...forAll, ""].join("\n"));
}

/** Parameters that hold a list of names, each of which is a literal of its own (guc_tables.c, GUC_LIST_QUOTE). */
const lists = /^(search_path|temp_tablespaces|unix_socket_directories|(local|session|shared)_preload_libraries)$/i;

/**
 * What is set for every role in every database, as statements: no client of PostgreSQL's dumps it, neither pg_dumpall with
 * the roles nor pg_dump with the database.
 */
export async function readSetForAll(db: Queryable): Promise<string[]> {
  const found = await rows<{ name: string; value: string }>(
    db,
    `SELECT pg_catalog.split_part(entry, '=', 1) AS name, pg_catalog.substr(entry, pg_catalog.strpos(entry, '=') + 1) AS value
       FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) entry
      WHERE s.setdatabase = 0 AND s.setrole = 0 ORDER BY 1`,
  );
  return found.map(({ name, value }) => {
    const parts = lists.test(name) ? [...value.matchAll(/"((?:[^"]|"")*)"|([^\s,]+)/g)] : undefined;
    const values = parts?.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "") ?? [value];
    const path = name.split(".").map(sqlName).join(".");
    return `ALTER ROLE ALL SET ${path} TO ${(values.length > 0 ? values : [""]).map(escapeLiteral).join(", ")};`;
  });
}
