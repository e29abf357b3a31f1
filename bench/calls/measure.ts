import type { Client } from "pg";
import { percentile } from "../../engine/migrate/workers/throttle/probe";
import { fixed, median, type Figures, type Run } from "../benchmark";
import { become, names, timed, type Name, type Person } from "./statements";

/**
 * Measures every call in turn, so that what else the machine does meets all of them alike.
 * @returns p50 and p95 of each in milliseconds, and the median over the rounds of its p95 divided by SELECT 1's
 * @throws Error if a call did not do what it is for
 */
export async function measure(
  client: Client,
  people: readonly Person[],
  { say, signal, options }: Run,
): Promise<Figures> {
  const { rounds = 5, iterations = 1500 } = options;
  const figures: Record<Name, { p50: number[]; p95: number[]; ratio: number[] }> = {
    select1: { p50: [], p95: [], ratio: [] },
    consentCheck: { p50: [], p95: [], ratio: [] },
    flagCheck: { p50: [], p95: [], ratio: [] },
    preferenceUpdate: { p50: [], p95: [], ratio: [] },
  };
  let next = 0;
  for (let round = 0; round <= rounds; round++) {
    const times: Record<Name, number[]> = { select1: [], consentCheck: [], flagCheck: [], preferenceUpdate: [] };
    for (let i = 0; i < iterations; i++) {
      signal.throwIfAborted();
      const person = people[next++ % people.length];
      if (!person) throw new Error("there is nobody to call");
      for (let k = 0; k < names.length; k++) {
        const name = names[(i + k) % names.length] as Name; // each is as often the first as the last
        await become(client, person); // before each, so that SELECT 1 does not pay for what the update left to do
        times[name].push(await timed(client, name, person));
      }
    }
    if (round === 0) continue; // warms caches up and settles plans
    const floor = percentile(times.select1, 0.95);
    for (const name of names) {
      const p95 = percentile(times[name], 0.95);
      figures[name].p50.push(percentile(times[name], 0.5));
      figures[name].p95.push(p95);
      figures[name].ratio.push(p95 / floor);
    }
    say(
      `round ${round} of ${rounds}: p95 ${names.map((name) => `${name} ${fixed(figures[name].p95.at(-1) ?? 0)} ms`).join(", ")}`,
    );
  }
  const entries = names.map((name) => {
    const { p50, p95, ratio } = figures[name];
    const times = { p50Ms: fixed(median(p50)), p95Ms: fixed(median(p95)) };
    return [name, name === "select1" ? times : { ...times, p95Ratio: fixed(median(ratio)) }] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * What a preference update takes when it waits until its commit is on disk: milliseconds, which tell of the disk alone.
 * @returns p50 and p95; the session's synchronous_commit is as before afterwards
 */
export async function durable(client: Client, people: readonly Person[], signal: AbortSignal): Promise<Figures> {
  await client.query("RESET role; SET synchronous_commit = on");
  const times: number[] = [];
  for (const person of people.slice(0, 300)) {
    signal.throwIfAborted();
    await become(client, person);
    times.push(await timed(client, "preferenceUpdate", person));
  }
  await client.query("RESET role; RESET synchronous_commit");
  return { p50Ms: fixed(percentile(times, 0.5)), p95Ms: fixed(percentile(times, 0.95)) };
}
