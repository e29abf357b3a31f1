import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { escapeIdentifier } from "pg";
import type { ClientProgram } from "../../engine/backup/client";
import { GuardianError } from "../../engine/base/errors";
import { ownSchemas, takeFingerprint } from "../../engine/fingerprint/take";
import type { Fingerprint } from "../../engine/fingerprint/types";
import { serverAccount } from "../../engine/server/account";
import { prepareFolder } from "../../engine/server/cluster";
import { newestDumpable } from "../postgres/newest";
import { startServer, type Major, type Server } from "../../engine/server/server";
import { cloneDatabase, createV6, logins, withClient, type Logins } from "../v6/database";
import { family, kill, processes } from "./processes";

/** As a server in production: what it said was committed must be there after a crash. */
const settings = { fsync: "on", synchronous_commit: "on", full_page_writes: "on" };

const [template, database] = ["v6", "guardian"];

/** A PostgreSQL that can be killed and goes on in the same data folder; it holds a v6 and a copy of it to migrate. */
export class FaultServer {
  readonly logins: Logins;

  private constructor(
    private server: Server,
    private readonly dataDir: string,
    private readonly pgDump: ClientProgram,
  ) {
    this.logins = logins(server, database);
  }

  /**
   * Starts the newest server that can be dumped here and loads v6 into its template.
   * @param started gets the server as soon as it is there, to stop it whatever happens
   */
  static async start(
    folder: string,
    options: { users: number; say: (line: string) => void; started: (server: FaultServer) => void },
  ): Promise<FaultServer> {
    const { major, pgDump, why } = await newestDumpable();
    const dataDir = join(folder, "server");
    prepareFolder(dataDir, serverAccount());
    const made = new FaultServer(await launch(major, dataDir, options.say), dataDir, pgDump);
    options.started(made);
    options.say(why);
    await createV6(made.server, template, { users: options.users });
    return made;
  }

  /** A fresh copy of v6 in place of the database that is there. */
  async fresh(): Promise<void> {
    await withClient({ ...this.logins.admin, database: "postgres" }, (client) =>
      client.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(database)} WITH (FORCE)`),
    );
    await cloneDatabase(this.server, template, database);
  }

  /** Kills the postmaster and every process of it, then starts a server on what they left. @returns how many were hit */
  async crash(): Promise<number> {
    const { major, port, pid } = this.server;
    const members = family(pid);
    // The postmaster first, or it would start some of the others again.
    const hit = members.filter((member) => kill(member.pid)).length;
    const until = Date.now() + 10_000;
    while (processes().some((one) => members.some((member) => member.pid === one.pid))) {
      if (Date.now() > until)
        throw new GuardianError("dev-server-failed", { what: "killed processes do not end", where: `server ${pid}` });
      await sleep(10);
    }
    await this.server.stop(); // only its warden is left
    this.server = await launch(major, this.dataDir, () => undefined, port);
    return hit;
  }

  /** What the database is, archive and ledger aside. */
  async fingerprint(): Promise<Fingerprint> {
    const { host, port, user, password, database } = this.logins.admin;
    const env = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
    const options = { pgDump: this.pgDump.path, env, ignoreSchemas: ownSchemas };
    return withClient(this.logins.admin, (client) => takeFingerprint(client, options));
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }
}

function launch(major: Major, dataDir: string, say: (line: string) => void, port?: number): Promise<Server> {
  return startServer({ major, dataDir, settings, say, ...(port === undefined ? {} : { port }) });
}
