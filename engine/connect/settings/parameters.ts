/** What this product does with one of libpq's connection parameters. */
export interface Parameter {
  /** The environment variable that libpq reads for it (manual, libpq, "Environment Variables"). */
  readonly env?: string;
  /** Ignored: it changes neither which database is reached nor how safely. */
  readonly ignored?: true;
  /** Not supported by the pg driver: refused unless the value is one of these, which ask for nothing. */
  readonly only?: readonly string[];
}

/**
 * libpq's connection keywords (manual, libpq, "Parameter Key Words", PostgreSQL 15 to 18). A keyword that is not here is
 * a mistake in a service file, as it is for libpq.
 */
export const parameters = {
  host: { env: "PGHOST" },
  hostaddr: { env: "PGHOSTADDR" },
  port: { env: "PGPORT" },
  dbname: { env: "PGDATABASE" },
  user: { env: "PGUSER" },
  password: { env: "PGPASSWORD" },
  passfile: { env: "PGPASSFILE" },
  options: { env: "PGOPTIONS" },
  connect_timeout: { env: "PGCONNECT_TIMEOUT" },
  sslmode: { env: "PGSSLMODE" },
  sslnegotiation: { env: "PGSSLNEGOTIATION" },
  sslrootcert: { env: "PGSSLROOTCERT" },
  sslcert: { env: "PGSSLCERT" },
  sslkey: { env: "PGSSLKEY" },
  sslcrl: { env: "PGSSLCRL" },
  ssl_min_protocol_version: { env: "PGSSLMINPROTOCOLVERSION" },
  ssl_max_protocol_version: { env: "PGSSLMAXPROTOCOLVERSION" },
  sslcrldir: { env: "PGSSLCRLDIR", only: [] },
  sslpassword: { only: [] },
  sslcertmode: { env: "PGSSLCERTMODE", only: ["allow"] },
  channel_binding: { env: "PGCHANNELBINDING", only: ["prefer", "disable"] },
  gssencmode: { env: "PGGSSENCMODE", only: ["prefer", "disable"] },
  require_auth: { env: "PGREQUIREAUTH" },
  requirepeer: { env: "PGREQUIREPEER", only: [] },
  replication: { only: ["false", "off", "no", "0"] },
  target_session_attrs: { env: "PGTARGETSESSIONATTRS", only: ["any", "read-write", "primary", "prefer-standby"] },
  application_name: { env: "PGAPPNAME", ignored: true },
  fallback_application_name: { ignored: true },
  client_encoding: { env: "PGCLIENTENCODING", ignored: true },
  keepalives: { ignored: true },
  keepalives_idle: { ignored: true },
  keepalives_interval: { ignored: true },
  keepalives_count: { ignored: true },
  tcp_user_timeout: { ignored: true },
  sslcompression: { env: "PGSSLCOMPRESSION", ignored: true },
  sslsni: { env: "PGSSLSNI", ignored: true },
  krbsrvname: { env: "PGKRBSRVNAME", ignored: true },
  gsslib: { env: "PGGSSLIB", ignored: true },
  gssdelegation: { env: "PGGSSDELEGATION", ignored: true },
  load_balance_hosts: { env: "PGLOADBALANCEHOSTS", ignored: true },
  min_protocol_version: { env: "PGMINPROTOCOLVERSION", ignored: true },
  max_protocol_version: { env: "PGMAXPROTOCOLVERSION", ignored: true },
} as const satisfies Record<string, Parameter>;

export type Keyword = keyof typeof parameters;

/** True for a word that libpq knows as a connection parameter. */
export function isKeyword(word: string): word is Keyword {
  return Object.hasOwn(parameters, word);
}

/** The table's entry, with the optional fields that `as const` hides. */
export function parameter(keyword: Keyword): Parameter {
  return parameters[keyword];
}
