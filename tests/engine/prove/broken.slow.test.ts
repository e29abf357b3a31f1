import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { type BackupFolder, readBackups } from "../../../engine/backup/keep/read";
import { prove } from "../../../engine/backup/prove";
import { restore } from "../../../engine/backup/restore";
import { openScratch, type Scratch } from "../../../engine/scratch";
import { startServer } from "../../../engine/server/server";
import type { Place } from "../../../scripts/backups/place";
import { verify } from "../../../scripts/backups/verify";
import { logins, withClient } from "../../../scripts/v6/database";
import { settingsOf } from "../../../scripts/v6/operator";
import { major, withEmpty } from "../../support/postgres";
import { until } from "../../support/processes";
import { skip } from "../../support/skip";
import { refusal, useDumps } from "../dumps";

/** Runs a test with a disk of so many MiB, in memory. */
async function withDisk(
  context: Mocha.Context,
  mebi: number,
  test: (folder: string, grow: (mebi: number) => void) => Promise<void>,
): Promise<void> {
  if (process.getuid?.() !== 0) skip(context, "a small disk is mounted by root alone");
  const folder = mkdtempSync(join(tmpdir(), "guardian-disk-"));
  const mount = (...args: string[]): boolean => spawnSync("mount", [...args, folder], { stdio: "ignore" }).status === 0;
  if (!mount("-t", "tmpfs", "-o", `size=${mebi}m,mode=1777`, "tmpfs")) {
    rmSync(folder, { recursive: true });
    skip(context, "this root may mount nothing: run it where CAP_SYS_ADMIN is");
  }
  try {
    await test(folder, (more) => expect(mount("-o", `remount,size=${more}m`), "remounted").to.equal(true));
  } finally {
    spawnSync("umount", ["-l", folder]);
    rmSync(folder, { recursive: true, force: true });
  }
}

const says = { env: process.env, signal: new AbortController().signal, say: (): void => undefined };

/** The one backup that is there. */
async function found(directory: string): Promise<BackupFolder> {
  const [one] = await readBackups(directory);
  if (!one) throw new Error("there is none");
  return one;
}

const placeIn = (directory: string): Place => ({
  directory,
  backup: { directory, jobs: 1, maxAge: 1, verify: "restore", keep: { count: 1, age: 1 } },
});

/** Some 20 MB that compress to half. */
const twenty = `CREATE TABLE much AS SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 15) j) AS t
  FROM generate_series(1, 40000) i`;

/** A table whose rows take their time to come back. */
const slow = `CREATE FUNCTION slowly(i int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
  CREATE TABLE slow (i int CHECK (slowly(i))); INSERT INTO slow SELECT generate_series(1, 200);
  CREATE OR REPLACE FUNCTION slowly(i int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN true; END'`;

describe("a backup and its proof, when something ends", function () {
  this.timeout(180_000);
  const place = useDumps();
  const open = (): Promise<Scratch> => openScratch({ major, bytes: 1, owner: "test", systemIdentifier: "1" });

  async function onScratch<T>(work: (scratch: Scratch) => Promise<T>): Promise<T> {
    const scratch = await open();
    try {
      return await work(scratch);
    } finally {
      await scratch.close();
    }
  }

  it("17-1 a disk that is full: the dump's, that of the copy's own dump, and the scratch's", function () {
    return withDisk(this, 4, (folder, grow) =>
      withEmpty(async (db) => {
        await (await db.connect("admin")).query(twenty);
        const there = { directory: join(folder, "backups") };
        expect(await refusal(place.take(db, there))).to.match(/^pg_dump failed: the disk is full.* \[disk-full\]\n/);
        expect(readdirSync(there.directory)).to.deep.equal([]);

        grow(24);
        const backup = await place.take(db, there);
        expect(backup.bytes / 1e6).to.be.within(5, 20);
        expect(await refusal(onScratch((scratch) => prove(backup, scratch, place.means)))).to.match(
          /^pg_dump failed: the disk is full.* \[disk-full\]\n/,
        );
        expect(readdirSync(there.directory)).to.deep.equal([backup.name]);
        // Whoever restores or verifies it is told before, and nothing is begun.
        const needed =
          /^\d+ MiB are needed beside the backup, and \d+ MiB are free: .*; nothing was written \[disk-too-small\]\n/;
        const to = settingsOf({ ...db.admin, database: `${db.name}_never` });
        expect(await refusal(restore(backup, to, place.restoring({ roles: false })))).to.match(needed);
        expect(await refusal(verify(await found(there.directory), placeIn(there.directory), says))).to.match(needed);
        expect(readdirSync(there.directory)).to.deep.equal([backup.name]);

        grow(100);
        await withDisk(this, 60, async (other) => {
          const before = process.env["TMPDIR"];
          process.env["TMPDIR"] = other;
          const small = await open().finally(() => {
            if (before === undefined) delete process.env["TMPDIR"];
            else process.env["TMPDIR"] = before;
          });
          try {
            expect(small.settings.fields.host).to.contain(other);
            expect(await refusal(prove(backup, small, place.means))).to.match(
              /^the disk of the scratch server, on which the backup is restored, is full \[disk-full\]\n/,
            );
          } finally {
            await small.close();
          }
        });
        expect(readdirSync(there.directory)).to.deep.equal([backup.name]);
        expect((await onScratch((scratch) => prove(backup, scratch, place.means))).verdict).to.equal("proven");
      }),
    );
  });

  it("17-1 a database that crashes in the dump", async () => {
    const server = await startServer({ major, inMemory: true });
    try {
      const both = logins(server, "postgres");
      const { admin } = both;
      await withClient(admin, async (client) => {
        await client.query("CREATE TABLE t AS SELECT 1 AS i");
        await client.query("CHECKPOINT"); // commits are asynchronous here: a crash may take the last of them
        await client.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
        const failing = refusal(place.take(both));
        // In the transaction that holds the lock nobody new is seen.
        const backend = await withClient(admin, waitingDump);
        process.kill(backend, "SIGKILL");
        expect(await failing).to.match(/\[connection-lost\]\n/);
      }).catch((err: unknown) => {
        if (!/terminat/i.test(String(err))) throw err;
      });
      place.expectNothing();
      const again = async (): Promise<boolean> => withClient(admin, () => Promise.resolve(true)).catch(() => false);
      await until("it is back", again);
      expect((await place.take(both)).rows).to.equal(1);
    } finally {
      await server.stop();
    }
  });

  it("17-1 a scratch that is killed in the restore, and ^C there", () =>
    withEmpty(async (db) => {
      await (await db.connect("admin")).query(slow);
      const backup = await place.take(db);
      const restoring = async (scratch: Scratch): Promise<void> => {
        const { host, port, user } = scratch.settings.fields;
        const login = { host, port, user, password: scratch.settings.password()?.reveal() ?? "", database: "postgres" };
        const copying = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY public.slow %' AND state = 'active'";
        await withClient(login, (client) =>
          until("rows come back", async () => (await client.query(copying)).rowCount === 1, 60_000),
        );
      };
      await onScratch(async (scratch) => {
        const { host } = scratch.settings.fields;
        const failing = refusal(prove(backup, scratch, place.means));
        await restoring(scratch);
        process.kill(Number.parseInt(readFileSync(join(host, "data", "postmaster.pid"), "utf8"), 10), "SIGQUIT");
        expect(await failing).to.match(
          /^pg_restore failed: the connection to the server was lost.* \[connection-lost\]\n/,
        );
      });
      await onScratch(async (scratch) => {
        const stop = new AbortController();
        const failing = refusal(prove(backup, scratch, { ...place.means, signal: stop.signal }));
        await restoring(scratch);
        stop.abort();
        expect(await failing).to.match(/^the proof of a backup was stopped; .* \[interrupted\]\n/);
      });
      expect(readdirSync(join(place.folder, "backups"))).to.deep.equal([backup.name]);
      expect((await onScratch((scratch) => prove(backup, scratch, place.means))).verdict).to.equal("proven");
    }));
});

/** @returns the backend of a pg_dump that waits for a lock */
async function waitingDump(client: Client): Promise<number> {
  let pid = 0;
  await until("pg_dump waits", async () => {
    const { rows } = await client.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'guardian-migration backup' AND wait_event_type = 'Lock'",
    );
    pid = rows[0]?.pid ?? 0;
    return pid > 0;
  });
  return pid;
}
