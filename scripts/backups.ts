import { existsSync } from "node:fs";
import { join } from "node:path";
import { openBackup, readBackups } from "../engine/backup/keep/read";
import { provenBy } from "../engine/backup/keep/relied";
import { restore, restoreTable } from "../engine/backup/restore";
import { GuardianError } from "../engine/base/errors";
import { shown } from "../engine/base/names";
import type { MaskedBackup } from "../engine/mask";
import { askLedger, pick, placeOf, refuseMissing, type Place } from "./backups/place";
import { listed, proofText, row } from "./backups/list";
import { mask, maskedReport, rulesOf } from "./backups/masked";
import { prune } from "./backups/prune";
import { passwordWays, progress, report, tableReport, target } from "./backups/restore";
import { aboutV7 } from "./backups/v7";
import { fetched, stored, storedRow, storeOf, storeOptions, unreadable } from "./backups/store";
import { verify } from "./backups/verify";
import * as commands from "./command";
import { json, type Command, type Options, type Values } from "./command/description";
import { usage } from "./command/parse";
import { figure, table } from "./demo/table";
import { askOnTerminal } from "./purge/ask";

const options = {
  directory: {
    value: "FOLDER",
    about: `where the backups are (default: guardian:backup.directory of the stack). Without --stack no database is asked:
all that is needed is this folder`,
  },
  stack: { value: "NAME", about: "the stack whose backups and ledger are meant (default: the one that is selected)" },
  cwd: {
    value: "FOLDER",
    short: "C",
    about: "the project's folder, which has Pulumi.NAME.yaml (default: this clone)",
  },
  json,
} as const;

const restoring = {
  to: {
    value: "CONNECTION",
    about: `a URI, or key=value pairs, or service=NAME, as psql takes them; what it leaves out is taken from libpq's PG*
variables. A database that is not there is made. No password: PGPASSWORD, .pgpass or --password-from`,
    instead: passwordWays,
  },
  "password-from": { value: "SOURCE", about: "env:NAME or file:PATH" },
  table: {
    value: "TABLE",
    about: `only this one, as schema.table, into a schema of its own in that database (guardian_restored_…), the live one with
--live NAME: its rows, columns, checks, keys and indexes, and nothing that reaches another table`,
  },
  "no-roles": { about: "make no role, and no membership: those that own or may use something must be there" },
  "no-owner": {
    about: `everything belongs to who restores, who need be no superuser then; rights are given, and not compared`,
  },
  "without-extensions": {
    about: "go without extensions that the server lacks, and what hangs on them, which is named",
  },
  masked: {
    about: `put other values in the place of names, addresses, texts, documents, ids and tokens, by sql/masking.yaml
(docs/masking.md). No server ever holds an original row. A column without a rule is refused`,
  },
  rules: { value: "FILE", about: "with --masked: rules for tables and columns of your own, as docs/masking.md shows" },
  "into-nonempty": { value: "NAME", about: "restore into that database though it is not empty" },
  live: {
    value: "NAME",
    about: "restore into that database though it is the backup's or the stack's own, and not empty",
  },
} as const;

type Word = "list" | "verify" | "restore" | "prune" | "stored" | "fetch";

const command: Command<typeof options, Options, Word> = {
  name: "npm run backups",
  purpose: "lists, verifies, restores, removes and brings back backups of a Guardian database",
  words: {
    noun: "thing to do",
    placeholder: "WORD",
    each: {
      list: { about: "what there is: when, of what, how large, whether it was proven, what relies on it" },
      verify: {
        argument: "ID",
        about: `restore it on a scratch server, and compare (guardian:scratch, or an embedded one). The ledger is not told`,
      },
      restore: {
        argument: "ID",
        about: "restore it: roles, database with its settings, content; then compare with what was dumped",
        options: restoring,
      },
      prune: {
        about: `remove what is older than guardian:backup.keep wants, never what the ledger relies on, nor the last one that is
proven. Shows what would go, and asks`,
        options: { yes: { about: "do not ask" } },
      },
      stored: { about: "what is off this machine: guardian:backup.to, or --from", options: storeOptions },
      fetch: {
        argument: "ID",
        about: "bring one back from there, decrypted, to where backups are: verify and restore take it then",
        options: storeOptions,
      },
    },
  },
  options,
  notes: `An ID is a name of the list, a part of it that no other has, or latest: for verify the newest that is whole, for restore
the last one that is proven, if one is. docs/backups.md has the night on which the database is gone, step by step.`,
  exits: {
    "0": "done: listed, proven, restored as it was, removed, brought back",
    "1": "refused, failed, not proven or not confirmed",
    "2": "wrong use, or no terminal to ask on and no --yes",
    "3": "a backup of the list is broken; partly proven; or restored, but not all is as it was: what is not is named",
    "130": "stopped by ^C",
  },
};

/** Where the command works and speaks; tests have their own. */
interface Surroundings extends commands.Surroundings {
  /** The project whose stack it is, unless --cwd names another. */
  clone: string;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
  /** Asks on the terminal; absent where there is none. */
  ask?: ((question: string) => Promise<string>) | undefined;
}

/** What there is to work with. */
interface Work extends Surroundings {
  place: Place;
  json: boolean;
}

/** Runs the command; returns the exit code that --help explains. */
export function main(args: readonly string[], around: Surroundings): Promise<number> {
  const { print, say, signal } = around;
  return commands.run(command, args, { print, say }, async (given) => {
    const { word, own, argument = "", directory, stack, cwd } = given;
    if (stack !== undefined && !/^[\w.-]+$/.test(stack)) throw usage(command, "--stack must be a stack's name");
    const work: Work = { ...around, json: given.json, place: placeOf({ directory, stack, cwd }, around) };
    // What is fetched makes the folder; a stack's own is made by its first up.
    if (directory !== undefined && word !== "stored" && word !== "fetch") refuseMissing(work.place.directory);
    try {
      if (word === "list") return await list(work);
      if (word === "verify") return await verifyOne(work, argument);
      if (word === "restore") return await restoreOne(work, argument, own);
      if (word === "stored") return await listStored(work, own);
      if (word === "fetch") return await fetchOne(work, argument, own);
      return await pruneAll(work, own["yes"] === true);
    } catch (err) {
      // What is left is in the error.
      if (signal.aborted && err instanceof GuardianError) throw new commands.Stopped(err.message, 130);
      throw err;
    }
  });
}

/** The last line for programs. */
function tell({ json, print }: Work, value: object): void {
  if (json) print(JSON.stringify(value));
}

async function list(work: Work): Promise<number> {
  const { place, say, print } = work;
  const { known, why } = await askLedger(place);
  if (why) say(`the ledger cannot be read, so what relies on them is not known: ${why.what}`);
  else if (!known) say("no stack is named, so what relies on them is not known (--stack NAME)");
  const all = listed(await readBackups(place.directory), known);
  const none = existsSync(place.directory) ? "  (none)" : "  (none: the folder is not there yet)";
  const lines = all.length === 0 ? [none] : table(all.map(row));
  [`in ${place.directory}:`, ...lines].forEach(work.json ? say : print);
  tell(work, { directory: place.directory, ledgerAsked: known !== undefined, backups: all });
  const broken = all.filter(({ state }) => state === "broken").map(({ id }) => shown(id));
  if (broken.length === 0) return 0;
  say(`broken, and of no use for a restore: ${broken.join(", ")}; keep them for inspection, and take a new one`);
  return 3;
}

async function listStored(work: Work, own: Partial<Values<Options>>): Promise<number> {
  const wanted = storeOf(work.place, own);
  const all = await stored(wanted, work.signal);
  const lines = all.length === 0 ? ["  (none)"] : table(all.map(storedRow));
  [`in ${wanted.to}:`, ...lines].forEach(work.json ? work.say : work.print);
  tell(work, { store: wanted.to, backups: all });
  const broken = all.filter(({ state }) => state === "unreadable");
  for (const one of broken) work.say(unreadable(one));
  return broken.length > 0 ? 3 : 0;
}

async function fetchOne(work: Work, id: string, own: Partial<Values<Options>>): Promise<number> {
  const { place, say } = work;
  const { known, why } = await askLedger(place);
  if (why) say(`the ledger cannot be read: ${why.what}`);
  const found = await fetched(storeOf(place, own), id, place.directory, work, known?.stored);
  say(`it is in ${found.path}, as it was stored: every file has the hash that its manifest says`);
  tell(work, found);
  return 0;
}

async function verifyOne(work: Work, id: string): Promise<number> {
  const { place, say } = work;
  // Which is the latest is the stack's to say.
  const { known } = id === "latest" ? await askLedger(place) : {};
  const { folder } = pick(id, await readBackups(place.directory), known, place.directory, false);
  say(`proving ${folder.name}`);
  const proof = await verify(folder, place, work);
  say(`${folder.name} is ${proof.verdict}: restored in ${proof.restoreSeconds} s, and compared`);
  if (proof.unproven.length > 0)
    table(proof.unproven.map(({ table: what, reason }) => ({ "not proven": what, reason }))).forEach(say);
  tell(work, { id: folder.name, ...proof });
  return proof.verdict === "proven" ? 0 : 3;
}

async function restoreOne(work: Work, id: string, own: Partial<Values<Options>>): Promise<number> {
  const { place, say, env, signal } = work;
  const text = (name: keyof typeof restoring): string | undefined => {
    const value = own[name];
    return typeof value === "string" ? value : undefined;
  };
  const named = text("to");
  if (named === undefined) throw usage(command, "Say where to: --to CONNECTION");
  const exposed = (): Error =>
    usage(command, "--to holds a password, which every list of processes shows; nothing was done", ...passwordWays);
  const [live, one] = [text("live"), text("table")];
  const typed = { masked: own["masked"] === true, rules: text("rules"), live, table: one };
  const rules = rulesOf(typed, (what) => usage(command, what));
  const to = target(named, text("password-from"), env, exposed);
  to.warnings.forEach(say);
  const { known, why, own: mine } = await askLedger(place);
  if (why) say(`the stack's own database cannot be asked: ${why.what}`);
  const folders = await readBackups(place.directory);
  const { folder, newer } = pick(id, folders, known, place.directory, true);
  const proof = provenBy(folder, known?.relied);
  say(`the backup is ${folder.name}, taken at ${folder.manifest?.startedAt ?? ""}: ${proofText(proof)}`);
  if (newer) say(`a newer one is there, which nobody has proven: ${newer.name} (name it to have that)`);
  say(`it goes into ${to.explain()}`);
  const opened = await openBackup(folder.path);
  let masked: MaskedBackup | undefined;
  try {
    masked = rules && (await mask(opened, rules, work));
    const backup = masked ?? opened;
    const about = { live, liveDatabases: mine ? [mine] : [], signal, env, onProgress: progress(say), onWarning: say };
    if (one !== undefined) {
      const done = await restoreTable(backup, one, to, about);
      tableReport(done).forEach(say);
      tell(work, { id: folder.name, ...done });
      return 0;
    }
    const done = await restore(backup, to, {
      ...about,
      jobs: place.backup.jobs,
      roles: own["no-roles"] !== true,
      owners: own["no-owner"] !== true,
      withoutExtensions: own["without-extensions"] === true,
      intoNonempty: text("into-nonempty"),
      ...(masked ? { leavesOut: masked.leavesOut } : {}),
    });
    report(done).forEach(say);
    if (masked) maskedReport(masked, text("into-nonempty")).forEach(say);
    aboutV7(opened.manifest, folders, place.directory).forEach(say);
    tell(work, { id: folder.name, ...done });
    return done.left.length === 0 ? 0 : 3;
  } finally {
    await masked?.close();
    await opened.close();
  }
}

async function pruneAll(work: Work, yes: boolean): Promise<number> {
  const { place, say, ask, signal } = work;
  const sure = async (what: string): Promise<void> => {
    if (yes) return;
    if (!ask) throw usage(command, "There is no terminal to ask on; nothing was removed. --yes goes on without asking");
    const answer = await ask(`Files of backups cannot be brought back. Type remove to remove ${what}: `);
    if (answer.trim() !== "remove")
      throw new GuardianError("not-confirmed", { what: "not confirmed; nothing was removed" });
  };
  const { removed, bytes } = await prune(place, say, sure, signal);
  if (removed.length > 0) say(`removed ${removed.length} folders with ${figure(Math.ceil(bytes / 1e6))} MB`);
  tell(work, { removed });
  return 0;
}

if (require.main === module) {
  const ask = process.stdin.isTTY && process.stderr.isTTY ? askOnTerminal : undefined;
  const around = {
    ...commands.terminal,
    clone: join(__dirname, ".."),
    env: process.env,
    signal: commands.stopSignal(),
  };
  commands.endWith(main(process.argv.slice(2), { ...around, ask }));
}
