import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { setTimeout as sleep } from "node:timers/promises";
import { compareFingerprints } from "../../engine/fingerprint/compare";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { countBatches } from "../../engine/ledger/tools";
import { withClient } from "../v6/database";
import type { Choice, Stand } from "./choices";
import { addTheirs, compareContent, keepSession, type Theirs, type Verdict } from "./compare";
import { readContent, type Content } from "./content";
import { disturbed, undisturbed, type Outcome } from "./operate";
import type { Orphans } from "./orphans";
import { useV7 } from "./people";
import type { FaultServer } from "./server";
import { FaultStack, hurried, type Settings } from "./stack";
import type { Timeline } from "./strike";
import { Traffic } from "./traffic";
import type { Watch } from "./watch";

/** Where all of it is. */
export interface Ground {
  folder: string;
  /** Path of the pulumi CLI. */
  engine: string;
  server: FaultServer;
  signal: AbortSignal;
  /** What kills left behind: it must go by itself. */
  orphans: Orphans;
}

/** What does not change from one database to the next. */
export interface World extends Ground {
  watch: Watch;
  /** So few keys in a range that there are many batches, and kills between them. */
  rangeKeys: number;
  /** Backups are proven. */
  proof: boolean;
}

/** What is there where a run ends. */
export interface Picture {
  /** Every definition in the database, rights and policies among them. */
  definitions: Fingerprint;
  content: Content;
}

/** What an undisturbed run leaves where it ends. */
export type Measure = Record<Stand, Picture>;

/** A fresh v6 in place of the database that is there, and a fresh stack. @returns the stack's folder too, which is not removed by itself */
export async function freshStack(
  { folder: all, engine, server }: Pick<Ground, "folder" | "engine" | "server">,
  n: number,
  settings: Settings,
): Promise<{ stack: FaultStack; folder: string }> {
  await server.fresh();
  const inside = (name: string): string => join(all, name);
  const folder = inside(`life-${n}`);
  mkdirSync(folder, { mode: 0o700 });
  const places = { folder, home: inside("home"), tmp: inside("tmp") };
  return { stack: await FaultStack.open({ ...places, engine, login: server.logins.migrator, settings }), folder };
}

/** A fresh v6 with a fresh stack, and all that happens to them. */
export class Life {
  stand: Stand = "v6";
  readonly theirs: Theirs = new Map();
  /** Transactions of v6 that were committed while the migration was under way. */
  written = 0;

  private constructor(
    private readonly world: World,
    private readonly stack: FaultStack,
    private readonly folder: string,
  ) {}

  static async begin(world: World, n: number): Promise<Life> {
    await world.watch.close();
    const { stack, folder } = await freshStack(world, n, hurried(world));
    return new Life(world, stack, folder);
  }

  /** Goes there without a kill. @throws Error if that fails */
  async go(to: Stand): Promise<Timeline> {
    const line = await undisturbed({ ...this.world, stack: this.stack }, await this.#prepare(to));
    this.stand = to;
    return line;
  }

  /** Goes there under kills. Where it stands afterwards is certain only if the outcome is not `failed`. */
  async goDisturbed({ to, kills }: Choice, line: Timeline, seed: string): Promise<Outcome> {
    const verb = await this.#prepare(to);
    const traffic = new Traffic(this.world.server.logins.admin, seed);
    if (verb === "up") traffic.start();
    try {
      return await disturbed({ ...this.world, stack: this.stack }, verb, kills, line);
    } finally {
      this.stand = to;
      await this.#answering();
      this.written += await traffic.stop();
    }
  }

  /** Compares what is there with what an undisturbed run leaves. */
  async compare(measure: Measure): Promise<Verdict> {
    await this.#answering();
    const { definitions, content } = measure[this.stand];
    const found = await this.picture();
    const verdict = compareContent(content, this.theirs, found.content);
    verdict.faults.push(...compareFingerprints(definitions, found.definitions).map(({ text }) => text));
    return verdict;
  }

  async picture(): Promise<Picture> {
    const { facts, ...rest } = await this.world.server.fingerprint();
    // Rows are compared one by one, and what v7's sequences have drawn follows from how often it was tried.
    const aside = this.stand === "v6" ? ["table rows"] : ["table rows", "sequence state"];
    const kept = Object.entries(facts).filter(([kind]) => !aside.includes(kind));
    return { definitions: { ...rest, facts: Object.fromEntries(kept) }, content: await this.content() };
  }

  content(): Promise<Content> {
    return this.with(readContent);
  }

  /** Lets users write, and remembers what. @returns the number of rows */
  async use(seed: string, n: number): Promise<number> {
    const before = await this.content();
    await this.with((client) => useV7(client, seed, n));
    return addTheirs(this.theirs, before, await this.content());
  }

  /** How many batches the migrations that stand have moved their rows in. */
  batches(): Promise<number> {
    return this.with((client) => countBatches(client));
  }

  with<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return withClient(this.world.server.logins.admin, work);
  }

  end(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #prepare(to: Stand): Promise<"up" | "destroy"> {
    if (to === "v6") return "destroy";
    if (this.stand === "v6") keepSession(this.theirs, await this.content());
    this.stack.through(to === "schema" ? "schema" : "deployment");
    return "up";
  }

  /** A backend's death makes the whole server start anew, which takes a moment (manual, 20.15, restart_after_crash). */
  async #answering(): Promise<void> {
    for (let i = 1; ; i++) {
      try {
        await this.with((client) => client.query("SELECT 1"));
        return;
      } catch (err) {
        if (i === 100) throw err;
        await sleep(100);
      }
    }
  }
}
