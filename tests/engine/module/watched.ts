import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import type { V6 } from "../../support/postgres";

/** By which waits are told, however slowly the other one goes. */
const clock = performance.now.bind(performance);

/** Asks v6 the same again and again until told to stop; the longest it had to wait, in milliseconds. */
async function longestWait(client: Client, text: string, stop: AbortSignal): Promise<number> {
  let longest = 0;
  while (!stop.aborted) {
    const began = clock();
    await client.query(text);
    longest = Math.max(longest, clock() - began);
    await sleep(20);
  }
  return longest;
}

/**
 * Runs work while this process's clock goes at a five-hundredth: the pause after a failed try is 99 times what v6 suffered by it. The
 * server's, by which what takes too long is ended, goes on as ever: locks may be held for longer than a busy machine needs.
 */
export async function byASlowClock<T>(work: () => Promise<T>): Promise<T> {
  performance.now = () => clock() / 500;
  try {
    return await work();
  } finally {
    performance.now = clock;
  }
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
