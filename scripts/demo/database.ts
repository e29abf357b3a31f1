import { join } from "node:path";
import { Client } from "pg";
import { compareFingerprints } from "../../engine/fingerprint/compare";
import { ownSchemas, quickFingerprint, takeFingerprint } from "../../engine/fingerprint/take";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { runV6Script } from "../../engine/fingerprint/v6-script";
import { serverAccount } from "../../engine/server/account";
import { prepareFolder } from "../../engine/server/cluster";
import { newestDumpable } from "../postgres/newest";
import { startServer, type Server } from "../../engine/server/server";
import { createV6, withClient, type Logins } from "../v6/database";
import type { Place } from "./place";

export const databaseName = "guardian";

/** What a comparison leaves out: what stays after a rollback, or, after a purge, nothing. */
export type Aside = "archive and ledger aside" | "nothing aside";

/** The demo's PostgreSQL with its v6. */
export class DemoDatabase {
  private constructor(
    private server: Server,
    private readonly pgDump: string,
    readonly logins: Logins,
    private readonly dataDir: string | undefined,
  ) {}

  /**
   * Starts the newest server that can be dumped here and loads v6.
   *
   * @param keep its data is in the demo's folder, so that it can go on after us
   * @param started gets the server as soon as it is being started, to stop it whatever happens
   */
  static async create(
    place: Place,
    options: { users: number; keep: boolean; say: (line: string) => void; started: (server: Promise<Server>) => void },
  ): Promise<DemoDatabase> {
    const { users, keep, say, started } = options;
    const { major, pgDump, why } = await newestDumpable();
    const dataDir = keep ? join(place.folder, "server") : undefined;
    if (dataDir) prepareFolder(dataDir, serverAccount());
    const starting = startServer({ major, say, ...(dataDir ? { dataDir } : {}) });
    started(starting);
    const server = await starting;
    say(`${why}; it listens on 127.0.0.1:${server.port}`);
    const progress = (step: string, ms: number): void => {
      if (ms >= 1000) say(`  ${step}: ${(ms / 1000).toFixed(1)} s`);
    };
    const logins = await createV6(server, databaseName, { users, progress });
    return new DemoDatabase(server, pgDump.path, logins, dataDir);
  }

  /** Hands over a connection of the superuser; it is closed afterwards, so that its statistics are told by then. */
  with<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return withClient(this.logins.admin, work);
  }

  /** What the database is. */
  fingerprint(aside: Aside): Promise<Fingerprint> {
    const { host, port, user, password, database } = this.logins.admin;
    const env = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
    const ignoreSchemas = aside === "nothing aside" ? [] : ownSchemas;
    return this.with((client) => takeFingerprint(client, { pgDump: this.pgDump, env, ignoreSchemas }));
  }

  /** Runs work and says whether it left the database untouched: no row, number, catalogue entry or rolled-back write. */
  async untouched<T>(work: () => Promise<T>): Promise<{ value: T; differences: string[] }> {
    const look = (): Promise<Fingerprint> => this.with((client) => quickFingerprint(client, { counters: true }));
    const before = await look();
    const value = await work();
    return { value, differences: compareFingerprints(before, await look()).map(({ text }) => text) };
  }

  /** Does what the v6 application does. @returns how many steps there were, and what did not work */
  async application(): Promise<{ steps: number; failures: string[] }> {
    const { steps } = await this.with(runV6Script);
    const failed = steps.filter((step) => !step.passed);
    return { steps: steps.length, failures: failed.map(({ name, reason }) => `v6 cannot ${name}: ${reason ?? ""}`) };
  }

  /** Goes on after this process ends; before, the server would have ended with it. @returns its process id */
  async detach(): Promise<number> {
    const { major, port } = this.server;
    await this.server.stop();
    this.server = await startServer({ major, port, persistent: true, dataDir: this.dataDir ?? "" });
    return this.server.pid;
  }
}
