import { existsSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { GuardianError } from "../../base/errors";
import { checkInput, configuredPassword, type DatabaseInput } from "./input";
import { readPassword } from "./pass-file";
import type { Secret } from "./secret";
import { home } from "./service-file";
import { type Given, type Origin, Sources } from "./sources";

export type { DatabaseInput } from "./input";

const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
/** What libpq means by each: manual, libpq, "Protection Provided in Different Modes". */
type SslMode = (typeof sslModes)[number];

/** Everything that is explicit after resolution; paths are as given, `system` as root means the runtime's own roots. */
export interface ConnectionFields {
  /** Host name, address, or folder of the unix-domain socket (begins with "/"). */
  readonly host: string;
  /** Numeric address to dial instead of looking `host` up. */
  readonly hostaddr: string | undefined;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly sslmode: SslMode;
  readonly sslnegotiation: "postgres" | "direct";
  readonly sslrootcert: string;
  readonly sslcert: string;
  readonly sslkey: string;
  readonly sslcrl: string;
  readonly minTls: string;
  readonly maxTls: string | undefined;
  /** Ways of being asked for a password that are allowed, or with "!" not (manual, libpq, require_auth). */
  readonly requireAuth: string | undefined;
  /** Command-line options for the server process, as PGOPTIONS. */
  readonly options: string | undefined;
  /** Seconds; 0 waits for ever. */
  readonly connectTimeout: number;
}

/**
 * A connection, resolved once to explicit values, which pg and pg_dump are both given. The password is reachable by
 * `password()` only. `origins` says where each value came from, for errors.
 */
export class ConnectionSettings {
  readonly fields: ConnectionFields;
  readonly origins: ReadonlyMap<string, Origin>;
  /** What libpq would warn about, such as a password file that others can read. */
  readonly warnings: readonly string[];
  /** What was said of this connection alone. */
  readonly given: Given | undefined;
  readonly #password: Secret | undefined;

  constructor(
    fields: ConnectionFields,
    password: Secret | undefined,
    about?: Pick<ConnectionSettings, "origins" | "warnings"> & { readonly given?: Given | undefined },
  ) {
    this.fields = fields;
    this.#password = password;
    this.origins = about?.origins ?? new Map();
    this.warnings = about?.warnings ?? [];
    this.given = about?.given;
  }

  password(): Secret | undefined {
    return this.#password;
  }

  /** "host:port/database as user": safe to show. */
  toString(): string {
    const { host, port, database, user } = this.fields;
    return `${host.includes(":") ? `[${host}]` : host}:${port}/${database} as ${user}`;
  }

  /** The same with the source of each part: what to look at when the connection goes to the wrong place. */
  explain(): string {
    const names = new Map<Origin, string[]>();
    for (const name of ["host", "port", "database", "user", "password"]) {
      const origin = this.origins.get(name);
      if (origin) names.set(origin, [...(names.get(origin) ?? []), name]);
    }
    const parts = [...names].map(([origin, of]) => `${of.join(", ")} from ${origin}`);
    return parts.length > 0 ? `${this.toString()} (${parts.join("; ")})` : this.toString();
  }

  /** The same connection to another database of the same server. */
  withDatabase(database: string): ConnectionSettings {
    return new ConnectionSettings({ ...this.fields, database }, this.#password, this);
  }
}

/**
 * Resolves a connection as libpq does: what the input says, else the service file, else PG* variables, else libpq's
 * defaults (manual, libpq, "Database Connection Control Functions", "The Connection Service File"). Reads files, opens
 * no connection.
 *
 * @param given what a command line says besides, in libpq's own words
 * @throws GuardianError for a value that is wrong or asks for what the pg driver cannot do; never quotes a password.
 */
export function resolveConnection(
  input: DatabaseInput | undefined,
  env: NodeJS.ProcessEnv,
  given?: Given,
): ConnectionSettings {
  checkInput(input ?? {}, given?.passwordFrom);
  const sources = new Sources(input ?? {}, env, given);
  const port = sources.integer("port", 5432, 1, 65535);
  const hostaddr = sources.text("hostaddr");
  const host = sources.text("host") ?? hostaddr ?? sources.fallback("host", defaultHost(port));
  refuseMany(host, sources.origin("host"));
  const user = sources.text("user") ?? sources.fallback("user", userInfo().username);
  const database = sources.text("dbname") ?? sources.fallback("dbname", user);
  const sslrootcert = sources.text("sslrootcert") ?? file(env, "root.crt");
  const fields: ConnectionFields = {
    host,
    hostaddr,
    port,
    database,
    user,
    sslmode: sslMode(sources, sslrootcert, env),
    sslnegotiation: sources.choice("sslnegotiation", ["postgres", "direct"], "postgres"),
    sslrootcert,
    sslcert: sources.text("sslcert") ?? file(env, "postgresql.crt"),
    sslkey: sources.text("sslkey") ?? file(env, "postgresql.key"),
    sslcrl: sources.text("sslcrl") ?? file(env, "root.crl"),
    minTls: sources.choice("ssl_min_protocol_version", tlsVersions, "TLSv1.2"),
    maxTls:
      sources.text("ssl_max_protocol_version") && sources.choice("ssl_max_protocol_version", tlsVersions, "TLSv1.3"),
    requireAuth: requireAuth(sources),
    options: sources.text("options"),
    // libpq waits for ever by default; a migration that hangs without a word helps nobody.
    connectTimeout: sources.integer("connect_timeout", 15, -1, 86_400),
  };
  const chosen = configuredPassword(input?.passwordFrom, env, given?.passwordFrom) ?? sources.secret("password");
  if (chosen) {
    sources.note("password", chosen.origin);
    return new ConnectionSettings(fields, chosen.password, sources);
  }
  // libpq's rule: the default socket is "localhost" in the password file, any other host is what was given.
  const passHost = host.startsWith("/") && socketFolders.includes(host) ? "localhost" : host;
  const found = readPassword(sources.text("passfile"), { host: passHost, port, database, user }, env);
  if (found.warning) sources.warnings.push(found.warning);
  if (found.password) sources.note("password", "the password file");
  return new ConnectionSettings(fields, found.password, sources);
}

const tlsVersions = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const;

/** The default socket folder is compiled into libpq: Debian's and Red Hat's, then PostgreSQL's own. */
const socketFolders = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

function defaultHost(port: number): string {
  return socketFolders.find((folder) => existsSync(`${folder}/.s.PGSQL.${port}`)) ?? "localhost";
}

function file(env: NodeJS.ProcessEnv, name: string): string {
  return join(home(env), ".postgresql", name);
}

/** sslrootcert=system raises the default to verify-full and admits nothing weaker, as in libpq 16. */
function sslMode(sources: Sources, sslrootcert: string, env: NodeJS.ProcessEnv): SslMode {
  const system = sslrootcert === "system";
  const usual = system ? "verify-full" : env.PGREQUIRESSL?.startsWith("1") ? "require" : "prefer";
  const mode = sources.choice("sslmode", sslModes, usual);
  if (!system || mode === "verify-full") return mode;
  throw new GuardianError("setting-invalid", {
    what: `sslmode ${mode} is too weak for sslrootcert=system`,
    where: `sslmode from ${sources.origin("sslmode")}`,
    todo: ["set sslmode to verify-full", "name the certificate authority's file in sslrootcert"],
  });
}

const authMethods = ["password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"];

/** As in libpq 16: each method once, and "!" before all of them or before none. */
function requireAuth(sources: Sources): string | undefined {
  const text = sources.text("require_auth");
  if (text === undefined) return undefined;
  const words = text.split(",").map((word) => word.trim());
  const negated = words.filter((word) => word.startsWith("!"));
  const names = words.map((word) => word.replace(/^!/, ""));
  const sound = names.every((name) => authMethods.includes(name)) && new Set(names).size === names.length;
  if (sound && (negated.length === 0 || negated.length === words.length)) return text;
  throw new GuardianError("setting-invalid", {
    what: `require_auth is ${JSON.stringify(text.slice(0, 60))}; expected a list of ${authMethods.join(", ")}, with ! before all or none of them`,
    where: `require_auth from ${sources.origin("require_auth")}`,
    todo: "mend it there, or take it out",
  });
}

function refuseMany(host: string, origin: string): void {
  const what = host.includes(",")
    ? "several hosts are given; a migration runs on exactly one server"
    : host.startsWith("@")
      ? "abstract unix-domain sockets are not supported"
      : undefined;
  if (what)
    throw new GuardianError("setting-invalid", {
      what,
      where: `host from ${origin}`,
      todo: "name the primary server alone",
    });
}
