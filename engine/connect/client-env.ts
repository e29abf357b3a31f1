import type { ConnectionSettings } from "./settings";

/** What a client program needs of its surroundings; all else, other secrets in the environment included, stays out. */
const inherited =
  /^(PATH|HOME|USER|LOGNAME|TMPDIR|TEMP|TMP|TZ|LD_LIBRARY_PATH|DYLD_\w+|SystemRoot|OPENSSL_\w+|SSL_CERT_\w+)$/;

/**
 * The environment for pg_dump and pg_restore that makes libpq connect exactly as pg does: every part explicit, no
 * service file, no PG* of the caller. It holds the password: hand it to spawn and keep it nowhere.
 *
 * @param program  shown as the session's application_name.
 */
export function toClientEnv(
  settings: ConnectionSettings,
  program = "client",
  base: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const { fields } = settings;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(base)) {
    if (value !== undefined && inherited.test(name)) env[name] = value;
  }
  const values: Record<string, string | undefined> = {
    PGHOST: fields.host,
    PGHOSTADDR: fields.hostaddr,
    PGPORT: String(fields.port),
    PGDATABASE: fields.database,
    PGUSER: fields.user,
    PGPASSWORD: settings.password()?.reveal(),
    PGSSLMODE: fields.sslmode,
    PGSSLNEGOTIATION: fields.sslnegotiation === "direct" ? "direct" : undefined,
    PGSSLROOTCERT: fields.sslrootcert,
    PGSSLCERT: fields.sslcert,
    PGSSLKEY: fields.sslkey,
    PGSSLCRL: fields.sslcrl,
    PGSSLMINPROTOCOLVERSION: fields.minTls,
    PGSSLMAXPROTOCOLVERSION: fields.maxTls,
    PGREQUIREAUTH: fields.requireAuth,
    PGOPTIONS: fields.options,
    PGCONNECT_TIMEOUT: String(fields.connectTimeout),
    PGGSSENCMODE: "disable",
    // Two dumps are compared: what a database sets for its sessions must not show in the text of its rows.
    PGTZ: "UTC",
    PGAPPNAME: `guardian-migration ${program}`,
    // Messages are read by this product: in English, whatever the caller's language.
    LC_ALL: "C",
  };
  for (const [name, value] of Object.entries(values)) if (value !== undefined) env[name] = value;
  return env;
}
