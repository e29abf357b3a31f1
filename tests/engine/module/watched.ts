import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { V6 } from "../../support/postgres";

/** Asks v6 the same again and again until told to stop; the longest it had to wait, in milliseconds. */
async function longestWait(client: Client, text: string, stop: AbortSignal): Promise<number> {
  let longest = 0;
  while (!stop.aborted) {
    const began = performance.now();
    await client.query(text);
    longest = Math.max(longest, performance.now() - began);
    await sleep(20);
  }
  return longest;
}

/** Watches logins and changes of an account while work is going on. */
export async function watched<T>(db: V6, work: () => Promise<T>): Promise<{ result: T; waited: number }> {
  const stop = new AbortController();
  const [a, b] = [await db.connect("admin"), await db.connect("admin")];
  const waits = Promise.all([
    longestWait(a, "SELECT email FROM auth.users LIMIT 1", stop.signal),
    longestWait(
      b,
      "UPDATE auth.users SET last_sign_in_at = now() WHERE id = (SELECT id FROM auth.users ORDER BY id LIMIT 1)",
      stop.signal,
    ),
  ]);
  try {
    return { result: await work(), waited: Math.max(...(stop.abort(), await waits)) };
  } finally {
    stop.abort();
    await waits;
  }
}
