import type { ErrorCode } from "../../spec/codes";
import { GuardianError, fromPostgres, isPostgres } from "../base/errors";
import { keyOf, mend, type Part } from "./settings/mend";
import type { ConnectionSettings } from "./settings";

const certificate = "set PGSSLROOTCERT to the certificate authority that signed the server's certificate";

/** What libpq users see most when a connection fails, by errno, SQLSTATE (manual, appendix A) or OpenSSL's code. */
function known(code: string, err: unknown, settings: ConnectionSettings): GuardianError | undefined {
  const refused = (named: ErrorCode, what: string, todo: string | readonly string[]): GuardianError =>
    new GuardianError(named, {
      what,
      where: settings.explain(),
      todo,
      ...(isPostgres(err) && err.code ? { sqlstate: err.code } : {}),
    });
  const place = (part: Part): string => mend(settings, part);
  const { host, port, database, user, sslmode } = settings.fields;
  const hasPassword = settings.password() !== undefined;
  switch (code) {
    case "ECONNREFUSED":
      return refused("server-down", `no PostgreSQL server answers on ${host}:${port}`, [
        settings.given ? "start the server" : "start the dev database: npm run db -- start",
        place("host"),
        place("port"),
      ]);
    case "ENOENT":
      return refused("server-down", `there is no PostgreSQL socket in ${host} for port ${port}`, [
        "start the server",
        place("host"),
        place("port"),
      ]);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return refused("host-unknown", `the host name ${host} cannot be resolved`, [
        place("host"),
        "check the network and its DNS",
      ]);
    case "ETIMEDOUT":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return refused("server-unreachable", `${host}:${port} cannot be reached`, [
        "check firewall, VPN and the database's list of allowed addresses",
        place("host"),
        place("port"),
      ]);
    case "ECONNRESET":
      return refused("server-unreachable", `${host}:${port} closed the connection while it was being set up`, [
        place("host"),
        place("port"),
      ]);
    case "28P01":
      // The server says the same for a role that does not exist, so that nobody learns which do.
      return refused("password-refused", `the server refuses the password of user ${user}`, [
        place("password"),
        `if there is no such role: ${place("user")}`,
      ]);
    case "NO_ROLE":
      return refused("login-refused", `the role ${user} does not exist on this server, or may not log in`, [
        place("user"),
        `as an administrator: CREATE ROLE, or ALTER ROLE ${user} LOGIN`,
      ]);
    case "28000":
      return refused(
        "login-refused",
        `the server does not let ${user} in to ${database} this way (sslmode ${sslmode})`,
        ["ask for a line in pg_hba.conf and for LOGIN on the role", "try another sslmode or user"],
      );
    case "3D000":
      return refused("database-missing", `the database ${database} does not exist on this server`, [
        place("database"),
        "create the database",
      ]);
    case "42501":
      return refused(
        "right-missing",
        `${user} may not connect to ${database}`,
        `as its owner: GRANT CONNECT ON DATABASE to ${user}`,
      );
    case "53300":
      return refused(
        "too-many-connections",
        "the server has no free connection",
        "close idle sessions or raise max_connections",
      );
    case "57P03":
      return refused("server-starting", "the server is starting up or shutting down", "run again in a moment");
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return refused("certificate-refused", `the server's certificate is not for the host ${host}`, [
        "connect by the name that is in the certificate",
        "set sslmode to verify-ca to check its authority alone",
      ]);
    case "CERT_HAS_EXPIRED":
      return refused("certificate-refused", "the server's certificate has expired", "renew it on the server");
    case "CERT_REVOKED":
      return refused("certificate-refused", "the server's certificate has been revoked", "replace it on the server");
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "CERT_SIGNATURE_FAILURE":
      return refused(
        "certificate-refused",
        "the server's certificate is not signed by an authority that is trusted here",
        certificate,
      );
    case "NO_TLS":
      return refused("tls-unavailable", `the server does not offer TLS, which sslmode ${sslmode} demands`, [
        "switch ssl on in the server",
        "set sslmode to prefer if the network is trusted",
      ]);
    case "TIMEOUT":
      return refused(
        "server-unreachable",
        `${host}:${port} did not answer within ${settings.fields.connectTimeout} s`,
        [
          "check firewall, VPN and the database's list of allowed addresses",
          place("host"),
          place("port"),
          "raise PGCONNECT_TIMEOUT",
        ],
      );
    case "NO_PASSWORD":
      return refused(
        "password-missing",
        `the server asks for a password for user ${user}, and ${hasPassword ? "the one given is empty" : "none is given"}`,
        [
          `set ${keyOf(settings, "password")} to env:NAME or file:PATH`,
          "set PGPASSWORD, or add a line to ~/.pgpass (mode 0600)",
          ...settings.warnings,
        ],
      );
    default:
      return undefined;
  }
}

/** The code that decides what is said: the error's own, or one for pg's code-less messages. */
export function failureCode(err: unknown): string {
  if (!(err instanceof Error)) return "";
  const messages: Record<string, string> = {
    "The server does not support SSL connections": "NO_TLS",
    "timeout expired": "TIMEOUT",
    "Connection terminated unexpectedly": "ECONNRESET",
  };
  if (/client password must be a/.test(err.message)) return "NO_PASSWORD";
  return messages[err.message] ?? ("code" in err ? String(err.code) : "");
}

/** One SQLSTATE for two troubles; the server's function tells them apart in every language (miscinit.c, auth.c). */
function noRole(err: unknown): boolean {
  return isPostgres(err) && err.code === "28000" && err.routine === "InitializeSessionUserId";
}

/** Turns what pg threw while connecting into an error that says what, where and what to do; never with the password. */
export function connectFailure(err: unknown, settings: ConnectionSettings): Error {
  if (err instanceof GuardianError) return err;
  const todo = [mend(settings, "host"), mend(settings, "port")];
  return (
    known(noRole(err) ? "NO_ROLE" : failureCode(err), err, settings) ??
    fromPostgres(err, settings.explain(), todo, "connection-failed")
  );
}
