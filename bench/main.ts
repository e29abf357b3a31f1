/** `npm run bench -- NAME`: the benchmarks. A new one is one file beside this and one line in the list. */
import { endWith, run, stopSignal, terminal } from "../scripts/command";
import { age } from "./age";
import { backup } from "./backup";
import { commandOf, type Benchmark } from "./benchmark";
import { calls } from "./calls";
import { fhir } from "./fhir";
import { gates } from "./gates";
import { growth } from "./growth";
import { locks } from "./locks";
import { move } from "./move";
import { noop } from "./noop";
import { start } from "./start";
import { traffic } from "./traffic";

const benchmarks: readonly Benchmark[] = [noop, start, fhir, calls, move, growth, traffic, locks, backup, age, gates];

/** Runs the command; returns the exit code that --help explains. */
function main(args: readonly string[]): Promise<number> {
  const { print, say } = terminal;
  const signal = stopSignal();
  return run(commandOf(benchmarks), args, { print, say, signal }, async ({ word, json, own: options }) => {
    const figures = await benchmarks.find((one) => one.name === word)?.run({ options, say, signal });
    if (json) print(JSON.stringify(figures));
    else for (const [name, value] of Object.entries(figures ?? {})) print(`${name}: ${JSON.stringify(value)}`);
    return 0;
  });
}

endWith(main(process.argv.slice(2)));
