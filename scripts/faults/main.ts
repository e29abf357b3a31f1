import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run as runCommand, type Surroundings } from "../command";
import { usage } from "../command/parse";
import { table } from "../demo/table";
import { findEngine } from "../pulumi/engine";
import { command, usually, type FaultOptions } from "./arguments";
import { cleanRuns, type CleanPlan } from "./clean";
import type { Ground } from "./life";
import { Orphans } from "./orphans";
import { run, type Plan } from "./run";
import { FaultServer } from "./server";
import { Watch } from "./watch";

export interface Around extends Surroundings {
  signal: AbortSignal;
  tamper?: Plan["tamper"];
  plant?: CleanPlan["plant"];
}

/** What a command has found. */
interface Found {
  figures: object;
  table: readonly object[];
  /** Whether it is as it should be. */
  held: boolean;
}

/** Runs the command; returns the exit code that --help explains. */
export function main(args: readonly string[], around: Around): Promise<number> {
  return runCommand(command, args, around, async (options) => {
    const { clean, kills, proof } = options;
    if (clean !== undefined && (kills !== undefined || proof))
      throw usage(command, "--clean kills nothing, and proves every backup: without --kills and --proof");
    const found = await (clean === undefined ? kill(options, around) : goClean(clean, options, around));
    if (!options.json) table(found.table).forEach(around.print);
    around.print(JSON.stringify(found.figures));
    return found.held ? 0 : 1;
  });
}

function kill({ kills = usually.kills, seed, users = usually.users, proof }: FaultOptions, around: Around) {
  const { say, tamper } = around;
  return inFolder(users, around, async (ground): Promise<Found> => {
    const watch = new Watch(ground.server.logins.admin);
    try {
      const world = { ...ground, watch, rangeKeys: Math.max(1, Math.round(users / 500)), proof };
      const { figures, table } = await run(world, { kills, seed, say, tamper });
      return { figures, table, held: figures.converged && figures.lost === 0 && figures.twice === 0 };
    } finally {
      await watch.close();
    }
  });
}

function goClean(runs: number, { seed, users = usually.usersOfClean }: FaultOptions, around: Around) {
  const { say, plant } = around;
  return inFolder(users, around, async (ground): Promise<Found> => {
    const { figures, table } = await cleanRuns(ground, { runs, seed, say, plant });
    return { figures, table, held: figures.clean === runs };
  });
}

/** Works with a server of its own with a v6 in it, in a temporary folder; nothing of it is left. */
async function inFolder(
  users: number,
  { say, signal }: Pick<Around, "say" | "signal">,
  work: (ground: Ground) => Promise<Found>,
): Promise<Found> {
  const engine = (await findEngine({ log: { line: say } })).path;
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "guardian-faults-"));
  // Another user, who runs PostgreSQL for root, passes through to the server's folder and sees none of the others.
  chmodSync(folder, 0o711);
  for (const name of ["home", "tmp"]) mkdirSync(join(folder, name), { mode: 0o700 });
  let server: FaultServer | undefined;
  const orphans = new Orphans();
  try {
    server = await FaultServer.start(folder, { users, say, started: (one) => (server = one) });
    signal.throwIfAborted();
    return await work({ folder, engine, server, signal, orphans });
  } finally {
    await server?.stop();
    await orphans.outlived(); // those of a run that ^C ended: the others were looked at after theirs
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
