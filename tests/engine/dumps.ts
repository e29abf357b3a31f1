import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { dump, type DumpOptions } from "../../engine/backup";
import type { RestoreOptions } from "../../engine/backup/restore";
import { clientFolder } from "../../scripts/pg-clients";
import { settingsOf } from "../../scripts/v6/operator";
import type { Logins } from "../../scripts/v6/database";
import { major } from "../support/postgres";
import { alive } from "../support/processes";
import { refusalOf } from "./module/harness";

/** A value that no error may show. */
export const marker = "GEHEIM-7731";

/** Where a test's dumps go and come from. */
export class Dumps {
  /** The folder of pg_dump and pg_restore. */
  bin = "";
  /** A folder of the test's own. */
  folder = "";

  /** By what a backup is taken, proven or restored here. */
  get means(): { jobs: number; signal: AbortSignal; env: NodeJS.ProcessEnv } {
    return { jobs: 2, signal: new AbortController().signal, env: { GUARDIAN_PG_BIN: this.bin } };
  }

  /** How a backup is restored for good, but for what a test says otherwise. */
  restoring(more: Partial<RestoreOptions> = {}): RestoreOptions {
    return { ...this.means, roles: true, liveDatabases: [], ...more };
  }

  /** Takes a backup of the database, as the superuser. */
  take(db: Logins, more: Partial<DumpOptions> = {}): ReturnType<typeof dump> {
    return dump(this.options(db, { settings: settingsOf(db.admin), ...more }));
  }

  /** A whole dump of the database as the migrator, but for what a test says otherwise. */
  options(db: Logins, more: Partial<DumpOptions> = {}): DumpOptions {
    return {
      settings: settingsOf(db.migrator),
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
    const note = join(this.folder, "note");
    rmSync(note, { force: true });
    const noting = `[ "$1" = --version ] && exec "$real" --version\necho $$ > '${note}'; echo "$@" >> '${note}'\n${script}`;
    const wrapper = wrappers(this.folder, this.bin, (name) => (name === "pg_dump" ? noting : ""));
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

/**
 * Makes client programs that do something of a test's before they do their work.
 * @param doing what the one of that name does, as sh; the real one is `$real` there
 * @returns their folder
 */
export function wrappers(within: string, bin: string, doing: (name: string) => string): string {
  const folder = mkdtempSync(join(within, "wrapper-"));
  for (const name of ["pg_dump", "pg_dumpall", "pg_restore"]) {
    const text = `#!/bin/sh\nreal='${bin}/${name}'\n${doing(name)}\nexec "$real" "$@"\n`;
    writeFileSync(join(folder, name), text, { mode: 0o755 });
  }
  return folder;
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
  const { message } = await refusalOf(promise);
  expect(message).not.to.contain(marker);
  return message;
}
