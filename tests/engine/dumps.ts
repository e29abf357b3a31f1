import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { DumpOptions } from "../../engine/backup";
import { type ConnectionSettings, resolveConnection } from "../../engine/connect";
import { GuardianError } from "../../engine/base/errors";
import { clientFolder } from "../../scripts/pg-clients";
import { major, type Login, type V6 } from "../support/postgres";

/** A value that no error may show. */
export const marker = "GEHEIM-7731";

/** Where a test's dumps go and come from. */
export class Dumps {
  /** The folder of pg_dump and pg_restore. */
  bin = "";
  /** A folder of the test's own. */
  folder = "";

  /** How to reach a database as that user. */
  settingsOf(login: Login, database: string): ConnectionSettings {
    const { host, port, user, password } = login;
    return resolveConnection(
      { host, port, user, database, passwordFrom: "env:PW" },
      { PW: password, HOME: this.folder },
    );
  }

  /** A whole dump of the database, but for what a test says otherwise. */
  options(db: V6, more: Partial<DumpOptions> = {}): DumpOptions {
    return {
      settings: this.settingsOf(db.migrator, db.name),
      directory: join(this.folder, "backups"),
      jobs: 2,
      excludeSchemas: ["guardian_migration"],
      ledgerId: "5b0c0b6e-0000-4000-8000-000000000000",
      protects: { "000_audit_log": "abc" },
      env: { GUARDIAN_PG_BIN: this.bin },
      ...more,
    };
  }

  /** A folder with a pg_dump that runs `script` first; it notes its process id and arguments. */
  wrapped(script: string): { env: NodeJS.ProcessEnv; pid: () => number; args: () => string } {
    const wrapper = join(this.folder, "wrapper");
    mkdirSync(wrapper);
    const note = join(wrapper, "note");
    for (const name of ["pg_dump", "pg_dumpall", "pg_restore"]) {
      const extra = name === "pg_dump" ? `echo $$ > '${note}'; echo "$@" >> '${note}'\n${script}` : "";
      const text = `#!/bin/sh\nreal='${this.bin}/${name}'\n[ "$1" = --version ] && exec "$real" --version\n${extra}\nexec "$real" "$@"\n`;
      writeFileSync(join(wrapper, name), text, { mode: 0o755 });
    }
    const lines = () => (existsSync(note) ? readFileSync(note, "utf8") : "").split("\n");
    return { env: { GUARDIAN_PG_BIN: wrapper }, pid: () => Number(lines()[0]), args: () => lines()[1] ?? "" };
  }

  /** Nothing is left in the backup directory, and the process is gone. */
  expectNothing(pid?: number): void {
    const left = existsSync(join(this.folder, "backups")) ? readdirSync(join(this.folder, "backups")) : [];
    expect(left).to.deep.equal([]);
    if (pid) expect(alive(pid), "pg_dump lives on").to.equal(false);
  }
}

/** Called in a describe: finds the client programs, and gives every test a folder. */
export function useDumps(): Dumps {
  const place = new Dumps();
  before(async () => (place.bin = await clientFolder(major)));
  beforeEach(() => (place.folder = mkdtempSync(join(tmpdir(), "guardian dump "))));
  afterEach(() => rmSync(place.folder, { recursive: true, force: true }));
  return place;
}

/** The whole text of the GuardianError with which it ends; nothing of a row is in it. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (err) {
    if (!(err instanceof GuardianError)) throw err;
    expect(err.message).not.to.contain(marker);
    return err.message;
  }
  throw new Error("was not refused");
}

/** Waits until a condition holds; fails after so many seconds. */
export async function until(condition: () => boolean, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("did not come about in time");
    await sleep(50);
  }
}

/** Does the process still run? */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie that nobody has waited for yet does not run.
    return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
