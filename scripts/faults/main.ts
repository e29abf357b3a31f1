import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuardianError } from "../../engine/errors";
import { table } from "../demo/table";
import { findEngine } from "../pulumi/engine";
import { help, parse, UsageError, type FaultOptions } from "./arguments";
import { Orphans } from "./orphans";
import { run, type Plan, type Report } from "./run";
import { FaultServer } from "./server";
import { Watch } from "./watch";

export interface Around {
  print: (line: string) => void;
  say: (line: string) => void;
  signal: AbortSignal;
  tamper?: Plan["tamper"];
}

/** Runs the command; returns the exit code that --help explains. */
export async function main(args: readonly string[], around: Around): Promise<number> {
  const { print, say, signal } = around;
  try {
    const options = parse(args);
    if (options.help) {
      print(help);
      return 0;
    }
    const { figures, table: kills } = await inFolder(options, around);
    if (!options.json) table(kills).forEach(print);
    print(JSON.stringify(figures));
    return figures.converged && figures.lost === 0 && figures.twice === 0 ? 0 : 1;
  } catch (err) {
    if (signal.aborted) {
      say("stopped; nothing of it is left");
      return 130;
    }
    say(err instanceof GuardianError ? err.message : err instanceof Error ? (err.stack ?? err.message) : String(err));
    return err instanceof UsageError ? 2 : 1;
  }
}

async function inFolder(options: FaultOptions, { say, signal, tamper }: Around): Promise<Report> {
  const { kills, seed, users } = options;
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
    const world = { folder, engine, server, watch, signal, orphans, rangeKeys };
    return await run(world, { kills, seed, say, tamper });
  } finally {
    await watch?.close();
    await server?.stop();
    await orphans.outlived(); // those of a run that ^C ended: the others were looked at after theirs
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
