import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import { reaches, serverAccount, sharedFolder } from "../../engine/server/account";
import { majors, type Major } from "../../engine/server/binaries";
import { alive } from "../../engine/base/process";

/** The port of Pulumi.dev.yaml. */
export const defaultPort = 54329;
export const databaseName = "guardian";

/** What is remembered between two commands. */
export interface DevState {
  major: Major;
  port: number;
  /** Folder of the server: data/, log. */
  folder: string;
  /** Users that v6 was loaded with; absent while loading was never finished. */
  users?: number;
}

/** Files of the interactive server in the clone: .guardian/db and what is in it, readable by their owner alone. */
export class DevFiles {
  readonly home: string;
  readonly password: string;
  readonly service: string;
  readonly passfile: string;
  private readonly state: string;
  private readonly lock: string;

  constructor(clone: string) {
    this.home = join(clone, ".guardian", "db");
    this.password = join(this.home, "password");
    this.service = join(this.home, "service.conf");
    this.passfile = join(this.home, "passfile");
    this.state = join(this.home, "server.json");
    this.lock = join(this.home, "lock");
  }

  /** undefined when there is no server yet. @throws GuardianError when the file is not ours to understand. */
  read(): DevState | undefined {
    if (!existsSync(this.state)) return undefined;
    const text = readFileSync(this.state, "utf8");
    try {
      const state = JSON.parse(text) as Partial<DevState>;
      if (majors.some((major) => major === state.major) && state.port && state.folder) return state as DevState;
    } catch {
      // said below
    }
    throw new GuardianError("dev-server-failed", {
      what: "The note about the interactive server cannot be read",
      where: this.state,
      todo: "`npm run db -- reset` makes the server anew",
    });
  }

  write(state: DevState): void {
    writeFileSync(this.state, JSON.stringify(state, undefined, 2) + "\n", { mode: 0o600 });
  }

  /**
   * Where the server's data goes: .guardian/db/server, or, if the account that runs it cannot get there (a clone under
   * /root), a folder of ours that it can reach and that a reboot does not empty.
   */
  chooseFolder(say: (line: string) => void): string {
    const account = serverAccount();
    this.makeHome();
    if (reaches(account, this.home)) return join(this.home, "server");
    const clone = createHash("sha256").update(realpathSync(this.home)).digest("hex").slice(0, 12);
    const folder = join(sharedFolder(account, ["/var/tmp"]), `db-${clone}`);
    say(`${account?.name ?? "PostgreSQL"} cannot get into ${this.home}; the data is in ${folder}`);
    return folder;
  }

  /** Password, libpq service file and password file (libpq manual, 34.16 and 34.17), for psql and for the dev stack. */
  writeConnection(state: DevState, password: string): void {
    const target = `host=127.0.0.1\nport=${state.port}\ndbname=${databaseName}`;
    const user = "user=guardian_migrator";
    this.save(this.password, password);
    this.save(this.service, `[guardian]\n${target}\n${user}\npassfile=${this.passfile}\n`);
    this.save(this.passfile, `127.0.0.1:${state.port}:*:*:${password}\n`);
  }

  /** Forgets the server and removes its data. */
  remove(folder: string | undefined): void {
    for (const file of [this.password, this.service, this.passfile, this.state]) rmSync(file, { force: true });
    for (const data of new Set([folder, join(this.home, "server")])) {
      if (data !== undefined) rmSync(data, { recursive: true, force: true });
    }
  }

  /** Keeps a second command out while one starts or stops the server. @throws GuardianError naming its process. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    this.makeHome();
    if (existsSync(this.lock)) {
      const holder = Number(readFileSync(this.lock, "utf8"));
      if (holder > 0 && holder !== process.pid && alive(holder)) throw this.busy(holder);
      rmSync(this.lock, { force: true }); // its process was killed
    }
    try {
      writeFileSync(this.lock, String(process.pid), { flag: "wx", mode: 0o600 });
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === "EEXIST") throw this.busy(0);
      throw err;
    }
    try {
      return await work();
    } finally {
      rmSync(this.lock, { force: true });
    }
  }

  private busy(pid: number): GuardianError {
    return new GuardianError("command-running", {
      what: "Another `npm run db` is at work on this clone",
      where: pid > 0 ? `process ${pid}, ${this.lock}` : this.lock,
      todo: "wait for it to end",
    });
  }

  private makeHome(): void {
    mkdirSync(dirname(this.home), { recursive: true });
    // 0711: the server's account passes through, and only it and we can read what is inside.
    mkdirSync(this.home, { recursive: true, mode: 0o711 });
  }

  private save(file: string, text: string): void {
    rmSync(file, { force: true }); // a file that exists would keep its mode
    writeFileSync(file, text, { mode: 0o600 });
  }
}
