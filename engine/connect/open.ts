import { Client, type ClientConfig } from "pg";
import { fromPostgres, GuardianError, isPostgres } from "../base/errors";
import { AuthMethods } from "./auth-methods";
import { connectFailure, failureCode } from "./failures";
import type { ConnectionSettings } from "./settings";
import { type TlsAttempt, tlsAttempts } from "./tls";
import { valueTypes } from "./values";

/**
 * The configuration for pg, explicit in every part, so that pg looks at no PG* variable itself.
 *
 * @param attempt  one of tlsAttempts().
 * @param name  application_name, shown in pg_stat_activity; cut to 63 bytes.
 * @param methods  asked before the password is handed out.
 */
export function toPgConfig(
  settings: ConnectionSettings,
  attempt: TlsAttempt,
  name: string,
  methods?: AuthMethods,
): ClientConfig {
  const { host, hostaddr, port, database, user, options, sslnegotiation, connectTimeout } = settings.fields;
  return {
    host: hostaddr ?? host,
    port,
    database,
    user,
    // A function, so that no copy of it hangs on pg's own objects before the server asks for it.
    password: () => {
      methods?.check();
      return settings.password()?.reveal() ?? "";
    },
    ssl: attempt,
    sslnegotiation: attempt ? sslnegotiation : "postgres",
    // A blank keeps pg from taking PGOPTIONS of the process where the settings have none.
    ...(options ? { options } : process.env.PGOPTIONS ? { options: " " } : {}),
    application_name: applicationName(name),
    connectionTimeoutMillis: Math.max(connectTimeout, 0) * 1000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    types: valueTypes,
  };
}

/**
 * Connects as the settings' sslmode says, trying its second way where libpq would. The caller ends the client. Its
 * "error" event is handled: a connection that dies while idle does not end the process.
 *
 * @throws GuardianError with what, where and what to do.
 */
export async function openClient(settings: ConnectionSettings, name: string): Promise<Client> {
  const attempts = inOrder(tlsAttempts(settings), lastWay.get(settings));
  for (const [i, attempt] of attempts.entries()) {
    const methods = new AuthMethods(settings, attempt !== false || settings.fields.host.startsWith("/"));
    const client = new Client(toPgConfig(settings, attempt, name, methods));
    client.on("error", () => undefined);
    methods.watch(client);
    try {
      await client.connect();
      methods.check();
      lastWay.set(settings, attempt !== false);
      return client;
    } catch (err) {
      await discard(client);
      if (i === attempts.length - 1 || !worthAnother(err, attempt !== false)) throw connectFailure(err, settings);
    }
  }
  throw new Error("unreachable: there is always an attempt");
}

/**
 * A session for one piece of work; it ends with the signal, whose reason is thrown then.
 * @param applicationName  as for openClient.
 * @param where  where errors say that it was.
 * @throws GuardianError for what PostgreSQL says, and as openClient does.
 */
export async function whileConnected<T>(
  settings: ConnectionSettings,
  { applicationName: name, where, signal }: { applicationName: string; where: string; signal: AbortSignal },
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await openClient(settings, name);
  const stop = (): void => void client.connection.stream.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    return await work(client);
  } catch (err) {
    signal.throwIfAborted();
    throw fromPostgres(err, where);
  } finally {
    signal.removeEventListener("abort", stop);
    await discard(client);
  }
}

/** Whether TLS was what worked last: a way that failed once is not tried first for each further connection. */
const lastWay = new WeakMap<ConnectionSettings, boolean>();

function inOrder(attempts: readonly TlsAttempt[], withTls: boolean | undefined): readonly TlsAttempt[] {
  const worked = (attempt: TlsAttempt): boolean => (attempt !== false) === withTls;
  return [...attempts].sort((a, b) => Number(worked(b)) - Number(worked(a)));
}

/** Ends a client; a peer that does not answer the goodbye within half a second is hung up on. Never throws. */
export async function discard(client: Client): Promise<void> {
  const timer = setTimeout(() => client.connection.stream.destroy(), 500);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

/**
 * libpq's "prefer" and "allow": the other way is tried if TLS is what failed, or if the server refused the connection
 * for how it came (28000: no pg_hba.conf line fits). A wrong password (28P01) is not sent a second time.
 */
function worthAnother(err: unknown, withTls: boolean): boolean {
  if (err instanceof GuardianError) return !withTls;
  if (isPostgres(err)) return err.code === "28000";
  const network = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "TIMEOUT"];
  return withTls && !network.includes(failureCode(err)) && failureCode(err) !== "NO_PASSWORD";
}

/** The server keeps 63 bytes of printable ASCII (manual, 20.8, application_name). */
export function applicationName(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 63);
}
