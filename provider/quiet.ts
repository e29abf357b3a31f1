import { writeSync } from "node:fs";

// The engine reads the first line on stdout as the port. Whatever anybody else prints, a library at its loading
// included, goes to stderr. To be imported before anything else.
process.stdout.write = process.stderr.write.bind(process.stderr);

/** Tells the engine where this plugin listens: the one line that goes to stdout. */
export function sayPort(port: number): void {
  writeSync(1, `${port}\n`);
}
