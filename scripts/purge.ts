import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { parse as parseYaml } from "yaml";
import { validateConfig } from "../config";
import { resolveConnection, type DatabaseInput } from "../engine/connect";
import { Database, type WriteSession } from "../engine/database";
import { fromPostgres, GuardianError } from "../engine/errors";
import { readLedger, readPhysical, type DatabaseIdentity } from "../engine/ledger/identity";
import { purgeAll } from "../engine/ledger/purge";
import { archiveSchema, ledgerSchema } from "../engine/ledger/schema";
import { readSteps } from "../engine/ledger/steps";
import { giveUpLost, lostTables } from "../engine/module/lost";
import { quoteName, rows, type Queryable } from "../engine/sql";
import { table } from "./demo/table";

const help = `npm run purge [-- options]: drops what a destroyed stack left in its database, for good

It drops the schemas ${archiveSchema} (rows that v7 collected, which the next up would bring back) and ${ledgerSchema}
(the ledger), after showing what is in them. It is refused while anything of the migration is still in the database, of
whatever stack. Backup files are not touched. For a stack that is still up: pulumi config set guardian:purge true, up, destroy.

  --stack NAME      whose guardian:database is meant (default dev); what it leaves out is taken from libpq's PG* variables
  -C, --cwd FOLDER  the project's folder, which has Pulumi.NAME.yaml (default: this clone)
  --lost            drop nothing: give up the rows of archived tables that somebody dropped by hand, so that up goes on
                    without them. They are listed first; the ledger keeps how many rows it were and who gave them up.
  --yes             do not ask; without it the database's name must be typed on a terminal
  --help            print this

Exit codes: 0 purged, or there was nothing to purge; 1 refused, failed or not confirmed; 2 wrong use,
or no terminal to ask on and no --yes.`;

/** Where it matters most what is given up. */
const consents = "public.patient_consents";

/** Wrong use of the command: exit code 2. */
class UsageError extends GuardianError {}

interface Command {
  stack: string;
  folder: string;
  lost: boolean;
  yes: boolean;
  help: boolean;
}

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
  clone: join(__dirname, ".."),
  env: process.env,
  say: (line) => void process.stderr.write(`${line}\n`),
  print: (text) => void process.stdout.write(`${text}\n`),
  ask: process.stdin.isTTY && process.stderr.isTTY ? askOnTerminal : undefined,
};

/** Runs the command; returns the exit code that --help explains. */
export async function main(args: readonly string[], around: Surroundings = terminal): Promise<number> {
  try {
    const command = parse(args, around.clone);
    if (command.help) {
      (around.print ?? around.say)(help);
      return 0;
    }
    return await purge(command, around);
  } catch (err) {
    around.say(err instanceof GuardianError ? err.message : String(err));
    return err instanceof UsageError ? 2 : 1;
  }
}

function parse(args: readonly string[], clone: string): Command {
  const [text, flag] = [{ type: "string" } as const, { type: "boolean" } as const];
  try {
    const options = { stack: text, cwd: { ...text, short: "C" }, lost: flag, yes: flag, help: { ...flag, short: "h" } };
    const { values } = parseArgs({ args: [...args], options });
    const { stack = "dev", cwd, lost = false, yes = false, help = false } = values;
    if (!/^[\w.-]+$/.test(stack)) throw new Error("--stack must be a stack's name");
    return { stack, folder: cwd === undefined ? clone : resolve(cwd), lost, yes, help };
  } catch (err) {
    throw usage((err as Error).message.split(". ")[0] ?? "wrong option");
  }
}

function usage(what: string): UsageError {
  return new UsageError({ what, where: "npm run purge", todo: "`npm run purge -- --help` lists the options" });
}

async function purge({ stack, folder, lost, yes }: Command, around: Surroundings): Promise<number> {
  const { say } = around;
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
    await write(host, found.identity, "nothing was dropped", (session) =>
      purgeAll(session, Date.now() + 5 * 60_000, refuseStanding),
    );
    say(`purged: ${archiveSchema} and ${ledgerSchema} are gone from ${database}; backup files are where they were`);
    return 0;
  } finally {
    await host.close();
  }
}

/** The stack's guardian:database; undefined leaves everything to libpq's variables. */
function readStack(folder: string, stack: string): DatabaseInput | undefined {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) {
    const names = existsSync(folder)
      ? readdirSync(folder).flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? [])
      : [];
    throw new GuardianError({
      what: `There is no stack ${stack} here`,
      where: file,
      todo:
        names.length > 0
          ? `name one of these: --stack ${names.join(" | ")}`
          : "name the project's folder: --cwd FOLDER",
    });
  }
  const { config } = (parseYaml(readFileSync(file, "utf8")) as { config?: Record<string, unknown> } | null) ?? {};
  const value = config?.["guardian:database"];
  if (value === undefined) return undefined;
  if (typeof value === "object" && value !== null && "secure" in value) {
    throw new GuardianError({
      what: "guardian:database is encrypted, and this command has no key",
      where: file,
      todo: "set it without --secret: it holds no password, passwordFrom only says where it is",
    });
  }
  const database = typeof value === "string" ? value : JSON.stringify(value);
  const { config: read, errors } = validateConfig({
    "guardian:through": "infrastructure",
    "guardian:database": database,
  });
  if (!read) throw new GuardianError({ what: errors.join("; "), where: file, todo: "mend the key" });
  const from = read.database?.passwordFrom;
  if (!from?.startsWith("file:") || isAbsolute(from.slice(5))) return read.database;
  return { ...read.database, passwordFrom: `file:${join(folder, from.slice(5))}` };
}

interface Found {
  identity: DatabaseIdentity;
  tables: { table: string; rows: number }[];
}

/** What would go. @throws GuardianError if it must not. */
async function look(db: Queryable): Promise<Found | undefined> {
  const ledger = await readLedger(db);
  const schemas = await rows<{ name: string }>(
    db,
    "SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1) ORDER BY 1",
    [[archiveSchema, ledgerSchema]],
  );
  if (schemas.length === 0) return undefined;
  if (!ledger) {
    throw new GuardianError({
      what: "There is no ledger, so nobody can say whether the migration was rolled back; nothing is dropped",
      where: `found: schema ${schemas.map(({ name }) => name).join(", ")}`,
      todo: "look at what is in there, and drop it by hand if it is not needed: DROP SCHEMA … CASCADE",
    });
  }
  await refuseStanding(db);
  await db.query("SET LOCAL row_security = off");
  const names = await rows<{ table: string }>(
    db,
    `SELECT schemaname || '.' || tablename AS table FROM pg_catalog.pg_tables WHERE schemaname = ANY ($1) ORDER BY 1`,
    [[archiveSchema, ledgerSchema]],
  );
  const tables: Found["tables"] = [];
  for (const { table } of names) {
    const counted = await rows<{ n: string }>(db, `SELECT count(*) AS n FROM ${quoteName(table)}`);
    tables.push({ table, rows: Number(counted[0]?.n ?? 0) });
  }
  return { identity: { ledgerId: ledger.ledgerId, ...(await readPhysical(db)) }, tables };
}

/** @throws GuardianError while the ledger has anything that is not undone, of whatever stack */
async function refuseStanding(db: Queryable): Promise<void> {
  const standing = (await readSteps(db)).filter((step) => step.state !== "undone");
  if (standing.length === 0) return;
  const names = [...new Set(standing.map((step) => step.urn.split("::").at(-1) ?? ""))];
  const stacks = [...new Set(standing.map((step) => step.urn.split("::")[0]?.replace(/^urn:pulumi:/, "") ?? ""))];
  throw new GuardianError({
    what: `Stack ${stacks.join(", ")} is not rolled back; nothing is dropped`,
    where: `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`,
    todo: [
      "roll it back first: npm run pulumi -- destroy",
      "roll back and purge in one: pulumi config set guardian:purge true, up, destroy",
    ],
  });
}

/** Gives up what archived tables held that are gone. @throws GuardianError if it must not be */
async function giveUp(
  host: Database,
  say: Surroundings["say"],
  sure: (what: string) => Promise<void>,
): Promise<number> {
  const { ledger, here } = await host.whereabouts().catch((err: unknown) => {
    throw fromPostgres(err, `purge --lost, ${host.settings.toString()}`);
  });
  const lost = ledger ? await host.read((db) => lostTables(db)) : [];
  if (!ledger || lost.length === 0) {
    say(`nothing is lost: every archived table that ${host.settings.explain()} should have is there`);
    return 0;
  }
  say(`in ${host.settings.explain()}, dropped by hand:`);
  table(lost.map((one) => ({ table: one.archivedAs, "rows at most": Number(one.rows), of: one.original }))).forEach(
    say,
  );
  if (lost.some(({ original }) => original === consents)) {
    say(
      `of ${consents} refusals and revocations are lost with them: such a patient is to the next up one who never answered`,
    );
  }
  await sure("give these rows up");
  const identity = { ledgerId: ledger.ledgerId, ...here };
  const given = await write(host, identity, "nothing was given up", (session) => giveUpLost(session, lost));
  say(`given up: ${given.map((one) => one.archivedAs).join(", ")}; the next up goes on without these rows`);
  return 0;
}

async function confirm(what: string, host: Database, ask: Surroundings["ask"]): Promise<void> {
  const { database } = host.settings.fields;
  if (!ask) throw usage("There is no terminal to ask on; nothing was done. --yes goes on without asking");
  const answer = await ask(`This cannot be undone. Type the database's name (${database}) to ${what}: `);
  if (answer.trim() === database) return;
  throw new GuardianError({ what: "not confirmed; nothing was dropped" });
}

async function askOnTerminal(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // ^C and ^D close it without an answer.
  const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
  try {
    return await Promise.race([lines.question(question), closed]);
  } finally {
    lines.close();
  }
}

/** Works under the migration's lock, if it still is the same database. */
async function write<T>(
  host: Database,
  expect: DatabaseIdentity,
  otherwise: string,
  work: (session: WriteSession) => Promise<T>,
): Promise<T> {
  const options = {
    urn: "purge",
    label: "purge",
    stack: "", // nobody's predecessor: whoever holds the lock is waited for and never ended
    expect,
    signal: new AbortController().signal,
    onStatus: () => undefined,
  };
  return host.write(options, work).catch((err: unknown) => {
    const todo = `${otherwise}; mend the cause, then run this again`;
    throw fromPostgres(err, `purge, ${host.settings.toString()}`, todo);
  });
}

if (require.main === module) {
  void main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
