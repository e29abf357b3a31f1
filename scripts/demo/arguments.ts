import { parseArgs } from "node:util";
import { GuardianError } from "../../engine/errors";

export const help = `npm run demo [-- options]: the whole migration on a PostgreSQL of its own, there and back

Starts a PostgreSQL, loads a Guardian v6 with made-up users, then: preview, up, up again, roll back the later stages,
destroy, compare, purge, by the real Pulumi engine. Everything is in a temporary folder that is gone at the end; your
Pulumi login, stacks and databases are not touched.

  --users N   users of v6 (default 2000: a quarter of a minute); a tenth as many documents, a fifth clinical rows
  --keep      leave the server and the rolled-back stack there at the end, and say how to use and how to stop them
  --json      the last line of standard output is one JSON object; everything else goes to standard error
  --help      print this

Exit codes: 0 all of it held; 1 something did not, or failed; 2 wrong use; 128 + signal number when stopped (^C: 130).`;

/** Wrong use of the command: exit code 2. */
export class UsageError extends GuardianError {}

export interface DemoOptions {
  users: number;
  keep: boolean;
  json: boolean;
  help: boolean;
}

/** Reads the command line. @throws UsageError naming what is wrong with it. */
export function parse(args: readonly string[]): DemoOptions {
  const flag = { type: "boolean" } as const;
  const options = { users: { type: "string" }, keep: flag, json: flag, help: { ...flag, short: "h" } } as const;
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (err) {
    throw usage((err as Error).message.split(". ")[0] ?? "wrong option");
  }
  const { users: text = "2000", keep = false, json = false, help = false } = values;
  const users = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(users >= 1 && users <= 100_000_000)) {
    throw usage(`--users must be a whole number from 1 to 100000000, not '${text}'`);
  }
  return { users, keep, json, help };
}

function usage(what: string): UsageError {
  return new UsageError({ what, where: "npm run demo", todo: "`npm run demo -- --help` lists the options" });
}
