import { join } from "node:path";
import * as commands from "./command";
import { json, type Command, type Options } from "./command/description";
import { majors } from "../engine/server/binaries";
import { reset, start, status, stop, type DevStatus, type StartOptions } from "./postgres/dev";
import { databaseName, defaultPort, DevFiles } from "./postgres/dev-files";
import { hasDevState, stackPort } from "./postgres/dev-stack";
import { notOurs } from "./postgres/owner";

type Name = "start" | "stop" | "status" | "reset";

/** Of a server that is made. */
const made = {
  users: {
    least: 1,
    most: 100_000_000,
    about: "users of v6, the first time (default 10000); a tenth as many documents, a fifth clinical rows",
  },
  port: { least: 1024, most: 65_535, about: `default ${defaultPort}, which Pulumi.dev.yaml has; remembered` },
  major: {
    least: Math.min(...majors),
    most: Math.max(...majors),
    about: `${majors.join(", ")}; default the newest that the pg_dump at hand can dump`,
  },
} as const;

const command = {
  name: "npm run db",
  purpose: "a PostgreSQL with a Guardian v6 in it, for the dev stack and for trying things",
  words: {
    noun: "command",
    placeholder: "COMMAND",
    each: {
      start: {
        about: "start it; the first time make it and load v6. It runs on after this command.",
        options: made,
      },
      stop: { about: "stop it; the data stays" },
      status: { about: "say whether it runs and how to connect" },
      reset: { about: "stop it, remove its data, start anew, with the same options as start", options: made },
    },
  },
  options: { json },
  exits: { "0": "done", "1": "it could not be done", "3": "(status) it does not run" },
} satisfies Command<Options, Options, Name>;

/** Where the command works and speaks; tests have their own. */
interface Surroundings extends commands.Surroundings {
  /** The clone whose .guardian/db it is. */
  clone: string;
}

const terminal: Surroundings = { ...commands.terminal, clone: join(__dirname, "..") };

/** Runs one command; returns the exit code that --help explains. */
export function main(args: readonly string[], around = terminal): Promise<number> {
  const { clone, print, say } = around;
  return commands.run(command, args, around, async ({ word, json, own }) => {
    const major = majors.find((one) => one === own.major);
    try {
      const outcome = await run(word, new DevFiles(clone), { ...own, major, say });
      if (json) print(JSON.stringify(outcome));
      else if (word !== "stop") describe(outcome, stackPort(clone)).forEach(say);
      if (word === "reset" && hasDevState(clone)) say(staleState);
      return word === "status" && outcome.state !== "running" ? 3 : 0;
    } catch (err) {
      throw notOurs(err) ?? err;
    }
  });
}

/** What reset leaves behind, and README's way out of it. */
const staleState =
  "the dev stack's state still belongs to the database that is gone; before its next up: npm run pulumi -- stack rm dev --force --preserve-config";

async function run(name: Name, files: DevFiles, options: StartOptions): Promise<DevStatus> {
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
    `connect: PGSERVICEFILE='${at.serviceFile ?? ""}' PGSERVICE=guardian psql (as the superuser: psql -U postgres)`,
  ];
  if (expected !== undefined && at.port !== expected) {
    lines.push(
      `the dev stack expects port ${expected}: npm run pulumi -- config set --path guardian:database.port ${at.port ?? ""}`,
    );
  }
  return lines;
}

if (require.main === module) commands.endWith(main(process.argv.slice(2)));
