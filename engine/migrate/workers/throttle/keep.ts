import { setTimeout as sleep } from "node:timers/promises";
import type { Session } from "../../../connect";
import { fromPostgres } from "../../../base/errors";

/** Milliseconds before a lost connection is opened again. */
const againMs = 500;

/** A connection that cannot write, whoever gave it. */
export async function openQuietly(connect: () => Promise<Session>): Promise<Session> {
  const session = await connect();
  try {
    await session.query("SELECT pg_catalog.set_config('default_transaction_read_only', 'on', false)");
    return session;
  } catch (err) {
    await session.close();
    throw err;
  }
}

/**
 * Takes turns with a session until stopped, and closes it then, at once even in the middle of a statement. After a
 * failure it goes on with a new session: the throttle's trouble is not the migration's end.
 *
 * @param failed  hears of a failure, and with undefined of the first turn that works again.
 */
export async function keep(
  given: Session,
  connect: () => Promise<Session>,
  stopped: AbortSignal,
  turn: (session: Session) => Promise<void>,
  failed: (err: Error | undefined) => void,
): Promise<void> {
  let session: Session | undefined = given;
  const over = () => stopped.aborted;
  const hangUp = () => void session?.close();
  stopped.addEventListener("abort", hangUp, { once: true });
  while (!over()) {
    try {
      session ??= await openQuietly(connect);
      await turn(session);
      failed(undefined);
    } catch (err) {
      await session?.close();
      session = undefined;
      if (over()) break;
      failed(fromPostgres(err, "throttle of the data migration"));
      await sleep(againMs, undefined, { signal: stopped }).catch(() => undefined);
    }
  }
  stopped.removeEventListener("abort", hangUp);
  await session?.close();
}
