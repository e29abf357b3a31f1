import { join } from "node:path";
import type { Login } from "../scripts/v6/database";
import { fixed, median, type Benchmark, type Figures, type Run } from "./benchmark";
import { withDatabase } from "./server";
import { BenchStack } from "./stack";

/**
 * What an `up` costs that finds nothing to do, beside the engine's floor: the same program with a plugin, started in the
 * same way, whose handlers return at once. Both run in turn, after a first `up` of each.
 */
export const noop: Benchmark = {
  name: "noop",
  about: "an up of the whole stack that changes nothing, beside one whose handlers return at once (ratio: at most 1.3)",
  options: {
    rounds: { default: 5, least: 1, about: "how often each of the two is measured, in turn" },
    users: { default: 1000, least: 10, about: "users in the database" },
  },
  run: (run) => withDatabase(run, (folder, { migrator }) => measure(run, folder, migrator)),
};

async function measure(run: Run, folder: string, login: Login): Promise<Figures> {
  const { say, options } = run;
  const product = await BenchStack.open(run, folder, login);
  const floor = await BenchStack.open(run, folder, login, { plugin: join(__dirname, "floor") });
  say("first up of both");
  await product.up({ unchanged: false });
  await floor.up({ unchanged: false });
  const [size, floorSize] = [await product.size(), await floor.size()];
  if (size !== floorSize) throw new Error(`the floor has ${floorSize} resources instead of ${size}`);

  const [ups, floors]: [number[], number[]] = [[], []];
  const rounds = options["rounds"] ?? 5;
  for (let i = 1; i <= rounds; i++) {
    floors.push(await floor.up({ unchanged: true }));
    ups.push(await product.up({ unchanged: true }));
    say(`round ${i} of ${rounds}: up ${Math.round(ups.at(-1) ?? 0)} ms, floor ${Math.round(floors.at(-1) ?? 0)} ms`);
  }
  const [upMs, floorMs] = [median(ups), median(floors)];
  say(`${size} resources in the state, stages and providers included`);
  return { upMs: Math.round(upMs), floorMs: Math.round(floorMs), ratio: fixed(upMs / floorMs) };
}
