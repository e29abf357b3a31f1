/** `npm run bench -- NAME`: the benchmarks. A new one is one file beside this and one line in the list. */
import { GuardianError } from "../engine/errors";
import { help, parse, UsageError, type Benchmark } from "./benchmark";
import { calls } from "./calls";
import { fhir } from "./fhir";
import { growth } from "./growth";
import { move } from "./move";
import { noop } from "./noop";
import { traffic } from "./traffic";

const benchmarks: readonly Benchmark[] = [noop, fhir, calls, move, growth, traffic];

/** Exit code 0: measured; 1: it could not be; 2: wrong use; 130: stopped by ^C. */
async function main(args: readonly string[]): Promise<number> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop.abort(new Error(`stopped (${signal})`)));
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const command = parse(args, benchmarks);
    if (command.help || !command.benchmark) {
      console.log(help(command.benchmark ? [command.benchmark] : benchmarks));
      return 0;
    }
    const figures = await command.benchmark.run({ options: command.options, say, signal: stop.signal });
    if (command.json) console.log(JSON.stringify(figures));
    else for (const [name, value] of Object.entries(figures)) console.log(`${name}: ${JSON.stringify(value)}`);
    return 0;
  } catch (err) {
    say(err instanceof GuardianError ? err.message : err instanceof Error ? (err.stack ?? err.message) : String(err));
    return err instanceof UsageError ? 2 : stop.signal.aborted ? 130 : 1;
  }
}

// Not process.exitCode: the inline program leaves channels to the engine behind.
void main(process.argv.slice(2)).then((code) => process.exit(code));
