import { join, resolve } from "node:path";
import { resolveConnection } from "../engine/connect";
import { Database } from "../engine/database";
import { fromPostgres, GuardianError } from "../engine/base/errors";
import { purgeAll } from "../engine/purge";
import { archiveSchema, ledgerSchema } from "../engine/ledger/schema";
import * as commands from "./command";
import type { Values } from "./command/description";
import { usage } from "./command/parse";
import { table } from "./demo/table";
import { askOnTerminal } from "./purge/ask";
import { isSame, look, refuseStanding } from "./purge/contents";
import { giveUp } from "./purge/lost";
import { readStack, selectedHere } from "./purge/stack";
import { write } from "./purge/write";

const options = {
  stack: {
    value: "NAME",
    about: `whose guardian:database is meant (default: the stack that is selected); what that leaves out is taken from libpq's
PG* variables`,
  },
  cwd: {
    value: "FOLDER",
    short: "C",
    about: "the project's folder, which has Pulumi.NAME.yaml (default: this clone)",
  },
  lost: {
    about: `drop nothing: give up the rows of archived tables that somebody dropped by hand, so that up goes on
without them. They are listed first; the ledger keeps how many rows it were and who gave them up.`,
  },
  yes: { about: "do not ask; without it the database's name must be typed on a terminal" },
} as const;

const command = {
  name: "npm run purge",
  purpose: "drops what a destroyed stack left in its database, for good",
  about: `It drops the schemas ${archiveSchema} (rows that v7 collected, which the next up would bring back) and ${ledgerSchema}
(the ledger), after showing what is in them. It is refused while anything of the migration is still in the database, of
whatever stack. Backup files are not touched. For a stack that is still up:
npm run pulumi -- config set guardian:purge true, then up, then destroy.`,
  options,
  exits: {
    "0": "purged, or there was nothing to purge",
    "1": "refused, failed or not confirmed",
    "2": "wrong use, or no terminal to ask on and no --yes",
  },
};

/** Where the command works and speaks; tests and the demo have their own. */
interface Surroundings {
  /** The project whose stack it is, unless --cwd names another. */
  clone: string;
  env: NodeJS.ProcessEnv;
  /** Takes a line for people. */
  say: (line: string) => void;
  /** Takes the help text; absent: it is said. */
  print?: (text: string) => void;
  /** Asks on the terminal; absent where there is none. */
  ask?: ((question: string) => Promise<string>) | undefined;
}

const terminal: Surroundings = {
  ...commands.terminal,
  clone: join(__dirname, ".."),
  env: process.env,
  ask: process.stdin.isTTY && process.stderr.isTTY ? askOnTerminal : undefined,
};

/** Runs the command; returns the exit code that --help explains. */
export function main(args: readonly string[], around: Surroundings = terminal): Promise<number> {
  const { say, print = say } = around;
  return commands.run(command, args, { say, print }, (given) => purge(given, around));
}

async function purge({ stack: named, cwd, lost, yes }: Values<typeof options>, around: Surroundings): Promise<number> {
  const { say } = around;
  if (named !== undefined && !/^[\w.-]+$/.test(named)) throw usage(command, "--stack must be a stack's name");
  const folder = cwd === undefined ? around.clone : resolve(cwd);
  const stack = named ?? selectedHere(folder, around.env);
  if (named === undefined) say(`the stack is ${stack}, which is selected`);
  const sure = (warning: string): Promise<void> => (yes ? Promise.resolve() : confirm(warning, host, around.ask));
  const settings = resolveConnection(readStack(folder, stack), around.env);
  settings.warnings.forEach(say);
  const host = new Database(settings);
  try {
    if (lost) return await giveUp(host, say, sure);
    const found = await host.read(look).catch((err: unknown) => {
      throw fromPostgres(err, `purge, ${settings.toString()}`);
    });
    if (!found) {
      say(`nothing to purge: ${settings.explain()} has neither ledger nor archive`);
      return 0;
    }
    const { database } = settings.fields;
    say(`in ${settings.explain()}:`);
    table(found.tables).forEach(say);
    await sure("drop all of this");
    await write(host, found.identity, "nothing was dropped", async (fenced) => {
      // Under the migration's lock: from here on nobody else archives.
      const now = await fenced.transaction(look);
      if (!isSame(found, now)) {
        table(now?.tables ?? []).forEach(say);
        throw changedMeanwhile(settings.explain());
      }
      await purgeAll(fenced, Date.now() + 5 * 60_000, refuseStanding);
    });
    say(`purged: ${archiveSchema} and ${ledgerSchema} are gone from ${database}; backup files are where they were`);
    return 0;
  } finally {
    await host.close();
  }
}

async function confirm(what: string, host: Database, ask: Surroundings["ask"]): Promise<void> {
  const { database } = host.settings.fields;
  if (!ask) throw usage(command, "There is no terminal to ask on; nothing was done. --yes goes on without asking");
  const answer = await ask(`This cannot be undone. Type the database's name (${database}) to ${what}: `);
  if (answer.trim() === database) return;
  throw new GuardianError("not-confirmed", { what: "not confirmed; nothing was dropped" });
}

const changedMeanwhile = (where: string): GuardianError =>
  new GuardianError("archive-changed", {
    what: "the archive is not what was shown before: somebody ran the migration meanwhile. This is what is there now; nothing was dropped",
    where,
    todo: "look at what is there now, then run this again",
  });

if (require.main === module) commands.endWith(main(process.argv.slice(2)));
