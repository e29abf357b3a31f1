import type { Client } from "pg";
import { isPostgres } from "../base/errors";
import { applicationName } from "./open";
import type { ServerInfo } from "./server-info";

/** Seconds after which the server ends a session that sits in a transaction; far fewer where v6 is locked (v6-locks.ts). */
export const idleInTransactionDefault = 60;

/**
 * What decides how a value is written as text. Keys are kept as text: whoever writes or reads one has these settings, the
 * triggers that run in v6's sessions too.
 */
export const textSettings = {
  DateStyle: "ISO, YMD",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  bytea_output: "hex",
  extra_float_digits: "1",
} as const;

/** What decides how the catalogue's functions write definitions, and what the SQL of modules means. */
const sqlSettings = {
  quote_all_identifiers: "off",
  array_nulls: "on",
  transform_null_equals: "off",
  check_function_bodies: "on",
  backslash_quote: "safe_encoding",
  escape_string_warning: "on",
  xmlbinary: "base64",
  xmloption: "content",
} as const;

/**
 * Gives a session known settings, whatever its role or database sets (manual, chapter 20). pg_temp comes last in
 * search_path, or a temporary table could stand in for a catalogue. A lock that somebody else holds is not waited for
 * for ever: a session left open in a transaction would stall the run without a word.
 *
 * @param about  application_name; idleInTransaction in seconds, lockTimeout in milliseconds: 0 for never.
 */
export async function setUpSession(
  client: Client,
  server: ServerInfo,
  about: { name: string; idleInTransaction: number; lockTimeout: number; readOnly: boolean },
): Promise<void> {
  const settings: Record<string, string> = {
    // A connection that was made to look at the server has another.
    application_name: applicationName(about.name),
    search_path: "pg_catalog, pg_temp",
    client_encoding: "UTF8",
    standard_conforming_strings: "on",
    ...textSettings,
    ...sqlSettings,
    // A statement on the catalogue has hundreds of expressions: to compile them takes longer than to run them once.
    jit: "off",
    statement_timeout: "0",
    lock_timeout: `${about.lockTimeout}ms`,
    idle_session_timeout: "0",
    idle_in_transaction_session_timeout: `${about.idleInTransaction}s`,
    ...(server.major >= 17 ? { transaction_timeout: "0" } : {}),
    ...(about.readOnly ? { default_transaction_read_only: "on" } : {}),
  };
  try {
    await client.query(setAll, [JSON.stringify({ ...settings, ...watch })]);
  } catch (err) {
    if (!isPostgres(err)) throw err;
    await client.query(setAll, [JSON.stringify(settings)]);
    for (const setting of Object.entries(watch)) await setIfPossible(client, setting);
  }
}

/**
 * What is answered to the engine and kept in its state must outlive a crash of the server (manual, 20.5); a role or database that
 * waits for more than its own disk, as for standbys, keeps that.
 */
const durable = `SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
  WHERE pg_catalog.current_setting('synchronous_commit') = 'off'`;

const setAll = `SELECT pg_catalog.set_config(key, value, false) FROM pg_catalog.json_each_text($1::pg_catalog.json) UNION ALL ${durable}`;

/** The server notices a client that is gone even in the middle of a statement. Not every operating system can. */
const watch: Readonly<Record<string, string>> = {
  client_connection_check_interval: "2s",
  tcp_keepalives_idle: "30",
  tcp_keepalives_interval: "10",
  tcp_keepalives_count: "3",
  tcp_user_timeout: "30s",
};

async function setIfPossible(client: Client, setting: readonly [string, string]): Promise<void> {
  try {
    await client.query("SELECT pg_catalog.set_config($1, $2, false)", [...setting]);
  } catch (err) {
    if (!isPostgres(err)) throw err;
  }
}
