import { GuardianError } from "../engine/base/errors";
import { endWith, run, terminal } from "./command";
import { command, type DemoOptions } from "./demo/arguments";
import { DemoDatabase } from "./demo/database";
import { DemoEngine } from "./demo/engine";
import { Interrupted, Interruption } from "./demo/interruption";
import { keep } from "./demo/keep";
import { Output } from "./demo/output";
import { Place, stack } from "./demo/place";
import { tell, type Result } from "./demo/story";
import type { Server } from "../engine/server/server";
import { findEngine } from "./pulumi/engine";
import { stderrLog } from "./pulumi/log";
import { main as purge } from "./purge";

/** Runs the command; returns the exit code that --help explains. */
function main(args: readonly string[]): Promise<number> {
  return run(command, args, terminal, async (options) => {
    const out = new Output(options.json);
    const typed = process.stdin.isTTY && !options.json;
    const interruption = new Interruption(typed, out.say);
    // Nobody reads any more (`npm run demo | head`): as if the terminal was closed.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => interruption.stop("SIGHUP"));
    try {
      const { result, faults } = await demo(options, out, interruption, typed);
      if (options.json) terminal.print(JSON.stringify(result));
      return faults.length > 0 ? 1 : 0;
    } catch (err) {
      // What fails because of the signal may be heard of before the signal itself.
      throw err instanceof Interrupted ? err : ((await interruption.seen()) ?? err);
    } finally {
      interruption.close();
    }
  });
}

async function demo(options: DemoOptions, out: Output, interruption: Interruption, typed: boolean): Promise<Told> {
  const began = Date.now();
  const { path } = await Promise.race([findEngine({ log: stderrLog(out.stream) }), interruption.happened]);
  const place = new Place();
  const leaveNothing = (): void => place.remove();
  process.on("exit", leaveNothing); // whatever ends this process, but for kill -9
  const server: ServerAtWork = { starting: undefined, stays: false };
  try {
    const relay = options.json ? (text: string): void => void process.stderr.write(text) : undefined;
    const engine = new DemoEngine({ path, place, interruption, terminal: typed, relay });
    const telling = story(options, out, place, engine, server);
    telling.catch(() => undefined); // after an interruption its queries fail one after the other
    const { result, faults, last } = await Promise.race([telling, interruption.happened]);
    const seconds = Math.round((Date.now() - began) / 1000);
    out.heading(faults.length > 0 ? "What did not hold" : `All of it held, in ${seconds} s`);
    faults.forEach((fault) => out.say(`✗ ${fault}`));
    last.forEach(out.say);
    return { result, faults };
  } finally {
    process.off("exit", leaveNothing);
    if (server.stays) place.leave();
    else {
      const started = await server.starting?.catch(() => undefined); // one that is only just starting is waited for
      await started?.stop();
      place.remove();
    }
  }
}

interface Told {
  result: Result;
  faults: string[];
}

/** The demo's server while the story is told: what must be stopped, unless it is to stay. */
interface ServerAtWork {
  starting: Promise<Server> | undefined;
  stays: boolean;
}

/** @returns besides what was told the lines that say how to go on with a demo that is kept */
async function story(
  { users, keep: keeping }: DemoOptions,
  out: Output,
  place: Place,
  engine: DemoEngine,
  server: ServerAtWork,
): Promise<Told & { last: string[] }> {
  out.heading("A PostgreSQL with a Guardian v6 in it");
  const started = (starting: Promise<Server>): void => void (server.starting = starting);
  const database = await DemoDatabase.create(place, { users, keep: keeping, say: out.say, started });
  place.writeProject(database.logins.migrator);
  await engine.init();
  const told = await tell({ database, engine, out, purge: keeping ? undefined : () => purgeOwn(place, out) });
  if (!keeping) return { ...told, last: [] };
  engine.set("through", "deployment"); // as it was at first, for the next up
  const { port, password } = database.logins.admin;
  const pid = await database.detach();
  server.stays = true;
  return { ...told, last: keep(place, port, pid, password) };
}

async function purgeOwn(place: Place, out: Output): Promise<void> {
  const around = { clone: place.project, env: place.environment, say: out.say };
  const code = await purge(["--stack", stack, "--yes"], around);
  if (code !== 0) throw new GuardianError("command-failed", { what: "the purge failed; its own lines above say why" });
}

endWith(main(process.argv.slice(2)));
