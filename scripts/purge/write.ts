import type { Database, FencedWriter } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import type { DatabaseIdentity } from "../../engine/ledger/identity";

/** Works under the migration's lock, if it still is the same database. @param signal ends the wait for it, and the session */
export async function write<T>(
  host: Database,
  expect: DatabaseIdentity,
  otherwise: string,
  work: (fenced: FencedWriter) => Promise<T>,
  signal: AbortSignal = new AbortController().signal,
): Promise<T> {
  const options = {
    urn: "purge",
    label: "purge",
    stack: "", // nobody's predecessor: whoever holds the lock is waited for and never ended
    expect,
    signal,
    onProgress: () => undefined,
  };
  return host.write(options, work).catch((err: unknown) => {
    const todo = `${otherwise}; mend the cause, then run this again`;
    throw fromPostgres(err, `purge, ${host.settings.toString()}`, todo);
  });
}
