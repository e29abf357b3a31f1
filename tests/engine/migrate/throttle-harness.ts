import { setTimeout as sleep } from "node:timers/promises";
import { openSession, Session } from "../../../engine/connect/session";
import { Throttle, type ThrottleOptions } from "../../../engine/migrate/workers/throttle";
import type { Login } from "../../support/postgres";
import { settingsOf } from "../module/harness";

/** Connections of a throttle: opened as a login, all remembered. */
export function connections(login: Login): { connect: () => Promise<Session>; opened: Session[] } {
  const settings = settingsOf(login);
  const opened: Session[] = [];
  const connect = async () => {
    const session = new Session(await openSession(settings, { detail: "throttle" }));
    opened.push(session);
    return session;
  };
  return { connect, opened };
}

/** Runs a test with a throttle at full speed whose probes are not disturbed by a busy machine: 250 ms are noise. */
export async function withThrottle(
  login: Login,
  options: Partial<ThrottleOptions>,
  test: (throttle: Throttle, opened: Session[]) => Promise<void>,
): Promise<void> {
  const { connect, opened } = connections(login);
  const { limits, ...rest } = options;
  const throttle = await Throttle.open({
    connect,
    tables: ["public.t"],
    probe: { text: "SELECT 1", values: () => [] },
    workers: () => [],
    budget: 0.1,
    maxWorkers: 1,
    signal: new AbortController().signal,
    ...rest,
    limits: { noiseMs: 250, ...limits },
  });
  try {
    await until(throttle, () => throttle.reason === undefined);
    await test(throttle, opened);
  } finally {
    await throttle.close();
  }
}

/**
 * Waits until it is so.
 *
 * @throws after `patience` ms, with what the throttle says.
 */
export async function until(throttle: Throttle, so: () => boolean, patience = 60_000): Promise<void> {
  const from = Date.now();
  while (!so()) {
    if (Date.now() - from > patience)
      throw new Error(`still not so: speed ${throttle.speed}, ${throttle.reason ?? "no reason"}`);
    await sleep(10);
  }
}
