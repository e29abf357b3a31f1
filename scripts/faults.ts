/** `npm run faults`: kills the migration again and again; scripts/faults/arguments.ts says what it does. */
import { main } from "./faults/main";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => stop.abort(new Error(`stopped (${signal})`)));
}
const around = {
  print: (line: string) => void process.stdout.write(`${line}\n`),
  say: (line: string) => void process.stderr.write(`${line}\n`),
  signal: stop.signal,
};

// Not process.exitCode: the inline program leaves channels to killed engines behind.
void main(process.argv.slice(2), around).then((code) => process.exit(code));
