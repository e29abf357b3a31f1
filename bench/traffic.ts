import { setTimeout as sleep } from "node:timers/promises";
import { withClient, type Logins } from "../scripts/v6/database";
import type { Benchmark, Figures, Run } from "./benchmark";
import { withDatabase } from "./server";
import { BenchStack, purging } from "./stack";
import { figures, type UpWindow, type Window } from "./traffic/figures";
import { readPeople, tidy } from "./traffic/requests";
import { readSteps } from "./traffic/steps";
import { Traffic } from "./traffic/traffic";

/** As a production server has it: what is thrown away here must still be written as if it were not (manual, 20.5). */
const durable = { fsync: "on", synchronous_commit: "on", full_page_writes: "on", track_commit_timestamp: "on" };

/**
 * What the users of v6 notice of the whole `up`: their requests come at a fixed rate, whether or not those before were
 * answered, and are timed from when they were due; with `up` and without, in turn, for the same time.
 */
export const traffic: Benchmark = {
  name: "traffic",
  about: "v6 traffic at a fixed rate with and without the whole up (p50, p95 ratio: at most 1.10; 0 failed)",
  options: {
    rounds: { default: 3, least: 1, about: "how often the whole up is run and undone" },
    users: { default: 200_000, least: 100, about: "users in the database" },
    percent: { default: 30, least: 1, about: "the rate, of what the machine can carry" },
    connections: { default: 16, least: 1, about: "connections of the application" },
    capacity: { default: 10, least: 1, about: "seconds for which is measured what the machine can carry" },
  },
  run: (run) =>
    withDatabase(
      run,
      async (folder, logins) => {
        const stack = await BenchStack.open(run, folder, logins.migrator, purging);
        return { ...(await measure(run, stack, logins)), users: run.options["users"] };
      },
      durable,
    ),
};

/** Up, control, up, control …: each control as long as the up before it. */
async function measure({ say, signal, options }: Run, stack: BenchStack, { admin }: Logins): Promise<Figures> {
  const { rounds = 3, percent = 30, connections = 16, capacity = 10 } = options;
  const begin = (): Promise<void> => withClient(admin, tidy);
  const people = await withClient(admin, readPeople);
  const load = await Traffic.open({ login: admin, people, connections, signal });
  try {
    await begin();
    const carried = await load.capacity(capacity * 1000);
    const rate = Math.max(carried * (percent / 100), 1);
    say(`the machine carries ${Math.round(carried)} requests a second; rate ${Math.round(rate)}`);
    const up = async (): Promise<UpWindow> => {
      await begin();
      const window = await load.during(rate, () => stack.up({ unchanged: false }));
      const steps = await withClient(admin, readSteps);
      await stack.destroy();
      return { ...window, steps };
    };
    const [controls, ups]: [Window[], UpWindow[]] = [[], []];
    for (let i = 1; i <= rounds; i++) {
      const window = await up();
      const length = window.span.to - window.span.from;
      say(`round ${i} of ${rounds}: up ${seconds(length)}, ${window.record.at.length} requests; now as long without`);
      await begin();
      ups.push(window);
      controls.push(await load.during(rate, () => sleep(length, undefined, { signal })));
    }
    const found = figures(controls, ups);
    if (found.controlSpread.p50 > 1.5)
      say("the machine has other work: its own control windows differ, so do not trust this");
    return { ...found, requestsPerSecond: Math.round(rate), carriedPerSecond: Math.round(carried) };
  } finally {
    await load.close();
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
