import type { Client } from "pg";
import { GuardianError, fromPostgres, isPostgres } from "../base/errors";
import { toldSql } from "./outcome";
import type { ConnectionSettings } from "./settings";

/** The oldest PostgreSQL that is supported; Guardian v6 runs on 15 and later. */
const oldestMajor = 15;

/** Which server and database this is, and as whom we are there. */
export interface ServerInfo {
  /** Major version, such as 17. */
  readonly major: number;
  /** As the server says it, such as "17.4". */
  readonly version: string;
  /** Names the cluster for its whole life, copies made by streaming included (manual, 9.27, pg_control_system). */
  readonly systemIdentifier: string;
  readonly database: string;
  readonly databaseOid: number;
  readonly user: string;
  readonly isSuperuser: boolean;
  readonly bypassRls: boolean;
  readonly inRecovery: boolean;
  /** default_transaction_read_only as this role gets it: some hosts switch it on when the disk is full. */
  readonly readOnly: boolean;
  readonly encoding: string;
  /** True if this connection is encrypted. */
  readonly tls: boolean;
  /** Whether this role is told the newest checkpoint and the timeline: functions that a hosted server may not have, or keep to itself. */
  readonly tellsCheckpoint: boolean;
}

/** What one query tells of it. */
type Told = Omit<ServerInfo, "tellsCheckpoint">;

const query = `
  SELECT pg_catalog.current_setting('server_version_num')::int / 10000 AS major,
         pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1) AS version,
         (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS "systemIdentifier",
         d.datname AS database, d.oid::int8::float8 AS "databaseOid", r.rolname AS "user",
         r.rolsuper AS "isSuperuser", r.rolsuper OR r.rolbypassrls AS "bypassRls",
         pg_catalog.pg_is_in_recovery() AS "inRecovery",
         pg_catalog.current_setting('default_transaction_read_only')::bool AS "readOnly",
         pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
         coalesce((SELECT s.ssl FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_catalog.pg_backend_pid()), false) AS tls
    FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
   WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user`;

/**
 * Asks the server who it is, and refuses one that the migration cannot run on.
 *
 * @throws GuardianError for a standby, a version before 15, a server in read-only mode, or a missing right.
 */
export async function readServerInfo(client: Client, settings: ConnectionSettings): Promise<ServerInfo> {
  let info: Told | undefined;
  try {
    info = (await client.query<Told & Record<string, unknown>>(query)).rows[0];
  } catch (err) {
    const right = isPostgres(err) && err.code === "42501";
    const todo = `as a superuser: GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO ${settings.fields.user}`;
    throw fromPostgres(err, settings.toString(), right ? todo : undefined);
  }
  if (!info)
    throw new GuardianError("login-refused", {
      what: "the server does not know this session's role",
      where: settings.toString(),
    });
  refuseUnfit(info, settings);
  return { ...info, tellsCheckpoint: await tellsCheckpoint(client, settings) };
}

/** Asked outside of any transaction: within one that writes, a refusal would end it. */
async function tellsCheckpoint(client: Client, settings: ConnectionSettings): Promise<boolean> {
  try {
    await client.query(`SELECT ${toldSql}`);
    return true;
  } catch (err) {
    // 42501: no right to it; 0A000 and 42883: as services say of functions that they do not have.
    if (isPostgres(err) && /^(42501|0A000|42883)$/.test(err.code ?? "")) return false;
    throw fromPostgres(err, settings.toString());
  }
}

function refuseUnfit(info: Told, settings: ConnectionSettings): void {
  const where = settings.explain();
  if (info.major < oldestMajor) {
    throw new GuardianError("server-too-old", {
      what: `the server is PostgreSQL ${info.version}; the migration needs ${oldestMajor} or later`,
      where,
      todo: "upgrade the server first (pg_upgrade), or connect to another",
    });
  }
  if (info.inRecovery) throw isStandby(where);
  if (info.readOnly) {
    throw new GuardianError("server-read-only", {
      what: "the database is in read-only mode (default_transaction_read_only is on)",
      where,
      todo: "find out why (a hosted database does this when its disk is full), then switch it off for this role",
    });
  }
}

function isStandby(where: string): GuardianError {
  return new GuardianError("server-is-standby", {
    what: "the server is a standby in recovery and takes no writes",
    where,
    todo: ["connect to the primary", "promote this server first, if it is to become the primary"],
  });
}

/** What a session is asked for when it begins, as SQL: a server, or a setting, may have become another since the first look. */
export const sessionFacts = `pg_catalog.pg_is_in_recovery() AS "inRecovery",
  pg_catalog.current_setting('session_replication_role') = 'replica' AS "triggersOff"`;

/**
 * @param facts what the session answers to that
 * @throws GuardianError for a standby, as the primary of before a failover is one, and where triggers and foreign keys are off
 */
export function refuseSession(
  facts: { inRecovery: boolean; triggersOff: boolean },
  settings: ConnectionSettings,
): void {
  const where = settings.explain();
  if (facts.inRecovery) throw isStandby(where);
  if (!facts.triggersOff) return;
  throw new GuardianError("triggers-off", {
    what: "session_replication_role is replica in this database, or for this role: no foreign key is looked at, and no trigger keeps updated_at, so that what users change would be taken for unchanged, and be taken back",
    where,
    todo: "see where it is set (\\drds in psql), and take it out there, as a superuser: ALTER DATABASE … RESET session_replication_role, or ALTER ROLE … RESET session_replication_role",
  });
}
