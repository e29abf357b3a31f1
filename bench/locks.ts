import { engineParameters } from "../engine/parameters";
import { applyModule } from "../engine/module/apply";
import { loadModule, moduleNames } from "../engine/module/files/manifest";
import type { Server } from "../engine/server/server";
import { cloneDatabase, createV6 } from "../scripts/v6/database";
import { withOperator } from "../scripts/v6/operator";
import { median, type Benchmark, type Figures, type Run } from "./benchmark";
import { withServer } from "./server";
import { beside } from "./locks/busy";
import { watchWindows, type Window } from "./locks/window";

/** The module with the most keys to v6: 14 on five tables. */
const widest = "003_fhir_integration";

/** One module's application. */
interface Applied {
  module: string;
  windows: Window[];
}

/**
 * For how long the modules lock v6's tables, with the engine's own times. Nobody uses v6 meanwhile: what is measured is how
 * slow the server and this machine are.
 */
export const locks: Benchmark = {
  name: "locks",
  about: "v6's tables under the modules' locks (tries: at most 2; medianWindowMs: at most 60 without --busy)",
  notes: [
    `tries: the most that one module needed, a window longer than 200 ms being rolled back; medianWindowMs: how long ${widest}`,
    "locks its tables, commit included; upSeconds: all modules, pauses between tries included.",
  ],
  options: {
    rounds: { default: 3, least: 1, about: "how often all modules go up, each time on a fresh database" },
    busy: { default: 0, least: 0, about: "loops that compute beside it without end" },
    users: { default: 1000, least: 10, about: "users in the database" },
    most: { default: 600, least: 10, about: "seconds after which a module is tried no more" },
  },
  run(run): Promise<Figures> {
    const { say, options } = run;
    const { busy = 0, users = 1000 } = options;
    return withServer(run, {}, async (server) => {
      say(`PostgreSQL 17: v6 with ${users} users; ${busy} busy loops`);
      await createV6(server, "v6", { users });
      return beside(busy, () => measure(server, run));
    });
  },
};

async function measure(server: Server, { say, signal, options }: Run): Promise<Figures> {
  const { rounds = 3, most = 600 } = options;
  const [tries, windows, seconds]: [number[], number[], number[]] = [[], [], []];
  for (let round = 1; round <= rounds; round++) {
    const { applied, took } = await applyEach(server, `round_${round}`, most, signal);
    const needed = applied.map((one) => ({ module: one.module, tries: one.windows.length }));
    const window = applied.find((one) => one.module === widest)?.windows.find((one) => one.committed)?.ms ?? 0;
    tries.push(...needed.map((one) => one.tries));
    windows.push(window);
    seconds.push(took);
    const again = needed.filter((one) => one.tries > 1).map((one) => `${one.module} ${one.tries} tries`);
    const ms = `${widest} locks for ${Math.round(window)} ms`;
    say(`round ${round} of ${rounds}: ${took.toFixed(1)} s, ${[ms, ...again].join(", ")}`);
  }
  return {
    tries: Math.max(...tries),
    medianWindowMs: Math.round(median(windows)),
    upSeconds: Number(median(seconds).toFixed(1)),
  };
}

/** Applies every module to a copy of v6. @returns what each asked of v6, and how long all took, in seconds */
async function applyEach(
  server: Server,
  name: string,
  most: number,
  signal: AbortSignal,
): Promise<{ applied: Applied[]; took: number }> {
  const { migrator } = await cloneDatabase(server, "v6", name);
  const modules = await Promise.all(moduleNames().map((module) => loadModule(module)));
  return withOperator(
    migrator,
    async (operator) => {
      await operator.open();
      const began = performance.now();
      const applied: Applied[] = [];
      for (const module of modules) {
        let windows: Window[] = [];
        const work = (fenced: Parameters<typeof watchWindows>[0]): Promise<unknown> => {
          windows = watchWindows(fenced);
          return applyModule(fenced, module, Date.now() + most * 1000);
        };
        await operator.write("SqlModule", module.name, work, { signal });
        applied.push({ module: module.name, windows });
      }
      return { applied, took: (performance.now() - began) / 1000 };
    },
    { parameters: engineParameters({}) },
  );
}
