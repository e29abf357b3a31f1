import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { GuardianError } from "../engine/errors";
import { reset, start, status, stop, type DevStatus, type StartOptions } from "./postgres/dev";
import { databaseName, defaultPort, DevFiles } from "./postgres/dev-files";
import { hasDevState, stackPort } from "./postgres/dev-stack";

const help = `npm run db -- COMMAND [options]: a PostgreSQL with a Guardian v6 in it, for the dev stack and for trying things

  start    start it; the first time make it and load v6. It runs on after this command.
  stop     stop it; the data stays
  status   say whether it runs and how to connect (exit code 3: it does not run)
  reset    stop it, remove its data, start anew

  --users N   users of v6, the first time (default 10000); a tenth as many documents, a fifth clinical rows
  --port N    default ${defaultPort}, which Pulumi.dev.yaml has; remembered
  --major N   15, 16, 17 or 18; default the newest that the pg_dump at hand can dump
  --json      print the outcome as one JSON object on standard output
  --help      print this`;

/** Wrong use of the command: exit code 2. */
class UsageError extends GuardianError {}

interface Command {
  name: "start" | "stop" | "status" | "reset" | "help";
  json: boolean;
  options: Omit<StartOptions, "say">;
}

/** Reads the command line. @throws UsageError naming what is wrong with it. */
export function parse(args: readonly string[]): Command {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { users: text, port: text, major: text, json: flag, help: { ...flag, short: "h" } },
    });
  } catch (err) {
    throw usage((err as Error).message.split(". ")[0] ?? "wrong option");
  }
  const { values, positionals } = parsed;
  const json = values.json === true;
  if (values.help === true) return { name: "help", json, options: {} };
  const [name, ...more] = positionals;
  if (name !== "start" && name !== "stop" && name !== "status" && name !== "reset") {
    throw usage(name === undefined ? "No command given" : `Unknown command '${name}'`);
  }
  if (more.length > 0) throw usage(`Unexpected argument '${more.join(" ")}'`);
  const users = number("users", values.users, 1, 100_000_000);
  const port = number("port", values.port, 1024, 65_535);
  const major = number("major", values.major, 15, 18);
  const given = Object.entries({ users, port, major }).filter(([, value]) => value !== undefined);
  if (given.length > 0 && (name === "stop" || name === "status")) {
    throw usage(`${name} takes no --${given.map(([key]) => key).join(" and no --")}`);
  }
  return { name, json, options: Object.fromEntries(given) };
}

function number(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw usage(`--${name} must be a whole number from ${least} to ${most}, not '${text}'`);
}

function usage(what: string): UsageError {
  return new UsageError({ what, where: "npm run db", todo: "`npm run db -- --help` lists commands and options" });
}

/** Where the command works and speaks; tests have their own. */
interface Surroundings {
  /** The clone whose .guardian/db it is. */
  clone: string;
  /** Takes a line for people. */
  say: (line: string) => void;
  /** Takes a line for programs. */
  print: (line: string) => void;
}

const terminal: Surroundings = {
  clone: join(__dirname, ".."),
  say: (line) => void process.stderr.write(`${line}\n`),
  print: (line) => void process.stdout.write(`${line}\n`),
};

/** Runs one command; returns the exit code: 0 done, 1 it could not be done, 2 wrong use, 3 (status) not running. */
export async function main(args: readonly string[], { clone, say, print } = terminal): Promise<number> {
  try {
    const { name, json, options } = parse(args);
    if (name === "help") {
      print(help);
      return 0;
    }
    const outcome = await run(name, new DevFiles(clone), { ...options, say });
    if (json) print(JSON.stringify(outcome));
    else if (name !== "stop") describe(outcome, stackPort(clone)).forEach(say);
    if (name === "reset" && hasDevState(clone)) say(staleState);
    return name === "status" && outcome.state !== "running" ? 3 : 0;
  } catch (err) {
    const shown = notOurs(err) ?? err;
    say(shown instanceof GuardianError ? shown.message : String(shown));
    return err instanceof UsageError ? 2 : 1;
  }
}

/** What reset leaves behind, and README's way out of it. */
const staleState =
  "the dev stack's state still belongs to the database that is gone; before its next up: npm run pulumi -- stack rm dev --force --preserve-config";

/** The error for files that another user's `npm run db` made, and that this one may not read or write. */
function notOurs(err: unknown): GuardianError | undefined {
  const { code, path } = err as NodeJS.ErrnoException;
  if ((code !== "EACCES" && code !== "EPERM") || path === undefined) return undefined;
  const owner = ownerOf(path);
  return new GuardianError({
    what: `this clone's database belongs to ${owner ?? "another user"}, and ${userInfo().username} may not use its files`,
    where: `${path} (${code})`,
    todo: [
      `run this as ${owner ?? "that user"}`,
      "use a clone of your own, on another port: npm run db -- start --port N",
    ],
  });
}

/** Who owns the file, or the nearest folder above it that can be looked at. */
function ownerOf(path: string): string | undefined {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { uid } = statSync(at);
      const { status, stdout } = spawnSync("id", ["-un", String(uid)], { encoding: "utf8" });
      return status === 0 ? `user ${stdout.trim()}` : `the user with the id ${uid}`;
    } catch {
      if (at === dirname(at)) return undefined;
    }
  }
}

async function run(name: Command["name"], files: DevFiles, options: StartOptions): Promise<DevStatus> {
  if (name === "status") return status(files);
  return files.alone(async () => {
    if (name === "start") return start(files, options);
    if (name === "reset") return reset(files, options);
    options.say((await stop(files)) ? "stopped" : "it was not running");
    return status(files);
  });
}

function describe(at: DevStatus, expected: number | undefined): string[] {
  if (at.state === "absent") return ["there is no database yet: `npm run db -- start` makes it"];
  if (at.state === "stopped") return ["not running: `npm run db -- start` starts it"];
  const lines = [
    `running: PostgreSQL ${at.major ?? ""} on 127.0.0.1:${at.port ?? ""}, database ${databaseName}, ${at.users ?? 0} users`,
    `connect: PGSERVICEFILE='${at.serviceFile ?? ""}' PGSERVICE=guardian psql`,
  ];
  if (expected !== undefined && at.port !== expected) {
    lines.push(
      `the dev stack expects port ${expected}: npm run pulumi -- config set --path guardian:database.port ${at.port ?? ""}`,
    );
  }
  return lines;
}

if (require.main === module) {
  void main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
