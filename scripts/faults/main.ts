import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run as runCommand, type Surroundings } from "../command";
import { table } from "../demo/table";
import { findEngine } from "../pulumi/engine";
import { command, type FaultOptions } from "./arguments";
import { Orphans } from "./orphans";
import { run, type Plan, type Report } from "./run";
import { FaultServer } from "./server";
import { Watch } from "./watch";

export interface Around extends Surroundings {
  signal: AbortSignal;
  tamper?: Plan["tamper"];
}

/** Runs the command; returns the exit code that --help explains. */
export function main(args: readonly string[], around: Around): Promise<number> {
  return runCommand(command, args, around, async (options) => {
    const { figures, table: kills } = await inFolder(options, around);
    if (!options.json) table(kills).forEach(around.print);
    around.print(JSON.stringify(figures));
    return figures.converged && figures.lost === 0 && figures.twice === 0 ? 0 : 1;
  });
}

async function inFolder(options: FaultOptions, { say, signal, tamper }: Around): Promise<Report> {
  const { kills, seed, users, proof } = options;
  const engine = (await findEngine({ log: { line: say } })).path;
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "guardian-faults-"));
  // Another user, who runs PostgreSQL for root, passes through to the server's folder and sees none of the others.
  chmodSync(folder, 0o711);
  for (const name of ["home", "tmp"]) mkdirSync(join(folder, name), { mode: 0o700 });
  let server: FaultServer | undefined;
  let watch: Watch | undefined;
  const orphans = new Orphans();
  try {
    server = await FaultServer.start(folder, { users, say, started: (one) => (server = one) });
    signal.throwIfAborted();
    watch = new Watch(server.logins.admin);
    const rangeKeys = Math.max(1, Math.round(users / 500));
    const world = { folder, engine, server, watch, signal, orphans, rangeKeys, proof };
    return await run(world, { kills, seed, say, tamper });
  } finally {
    await watch?.close();
    await server?.stop();
    await orphans.outlived(); // those of a run that ^C ended: the others were looked at after theirs
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
