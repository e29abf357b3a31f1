import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { dump } from "../../engine/backup";
import { within } from "../../engine/backup/place";
import { GuardianError } from "../../engine/base/errors";
import { withV6 } from "../support/postgres";
import { alive, until } from "../support/processes";
import { marker, refusal, useDumps } from "./dumps";

describe("a backup of PostgreSQL", function () {
  this.timeout(120_000);
  const place = useDumps();

  it("16-18 a folder that does not answer is waited for so long and no longer", async () => {
    const never = new Promise<void>(() => undefined);
    const said = await within(never, "/mnt/gone", 20).catch((err: unknown) => err);
    expect(said).to.be.instanceOf(GuardianError).and.include({ code: "folder-unusable", where: "/mnt/gone" });
    expect(await within(Promise.resolve(7), "/mnt/gone", 20)).to.equal(7);
  });

  it("a disk that is full", () =>
    withV6(async (db) => {
      // The limit on file size stands for the full disk: its signal first, then its error.
      const { env } = place.wrapped("ulimit -f 4");
      expect(await refusal(dump(place.options(db, { env })))).to.match(
        /^pg_dump failed: the disk is full, or a limit on file size/,
      );
      place.expectNothing();
      const ignoring = place.wrapped("trap '' XFSZ; ulimit -f 4");
      const message = await refusal(dump(place.options(db, { env: ignoring.env })));
      expect(message).to.match(/^pg_dump failed: the disk is full.*\n.*pg_dump said: .*File too large/);
      place.expectNothing();
    }));

  it("a pg_dump that is killed, fails, leaves rows out, or quotes a row", () =>
    withV6(async (db) => {
      const cases = {
        "kill -9 $$": /^pg_dump failed: signal 9 ended it \[backup-failed\]\n/,
        [`echo 'pg_dump: error: query failed: ERROR:  bad value "${marker}"' >&2; exit 1`]: /the rest is withheld/,
        'exec "$real" "$@" --exclude-table-data=public.documents':
          /^pg_dump left out the rows of public.documents \[backup-incomplete\]\n/,
        'for a in "$@"; do case $a in --file=*) d=${a#--file=}; esac; done; mkdir "$d"; echo x > "$d/toc.dat"; exit 0':
          /^pg_restore --list failed: /,
      };
      for (const [script, expected] of Object.entries(cases)) {
        const { env } = place.wrapped(script);
        expect(await refusal(dump(place.options(db, { env }))), script).to.match(expected);
        place.expectNothing();
      }
    }));

  it("a table that someone has locked", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
      const { env, pid } = place.wrapped("");
      expect(await refusal(dump(place.options(db, { env, lockWait: 1 })))).to.match(
        /^pg_dump failed: another session holds an exclusive lock on a table/,
      );
      place.expectNothing(pid());
    }));

  it("17-1 a server that ends the dump's sessions", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
      const { env, pid } = place.wrapped("");
      const failing = refusal(dump(place.options(db, { env })));
      // In the transaction that holds the lock nobody new is seen.
      const other = await db.connect("admin");
      const ending = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'guardian-migration backup' AND wait_event_type = 'Lock' AND datname = current_database()`;
      while ((await other.query(ending)).rowCount === 0) await sleep(25);
      // Which of them hears of it first: pg_dump, or the session that keeps its snapshot and counts rows.
      expect(await failing).to.match(
        /^(pg_dump failed: the connection to the server was lost|the connection to the database was lost).* \[connection-lost\]\n/,
      );
      place.expectNothing(pid());
    }));

  it("^C while it runs", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
      const { env, pid } = place.wrapped("");
      const stop = new AbortController();
      const running = refusal(dump(place.options(db, { env, signal: stop.signal })));
      await until("pg_dump runs", () => pid() > 0);
      stop.abort();
      // The table is still held.
      expect(await running).to.match(/^the backup was cancelled; what it had written is removed \[interrupted\]\n/);
      place.expectNothing(pid());
    }));

  it("kill -9 of this product: pg_dump ends by itself, and the next run clears up", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
      const { env, pid } = place.wrapped("");
      const { host, port, user } = db.migrator;
      const input = { host, port, user, database: db.name, passwordFrom: "env:PW" };
      const plain = {
        directory: join(place.folder, "backups"),
        jobs: 2,
        excludeSchemas: [],
        ledgerId: "x",
        protects: {},
        env,
      };
      const script = `
          import { dump } from "./engine/backup";
          import { resolveConnection } from "./engine/connect";
          dump({ ...${JSON.stringify(plain)}, settings: resolveConnection(${JSON.stringify(input)}, process.env) });`;
      const root = join(__dirname, "..", "..");
      const args = ["--import", "tsx", "--input-type=commonjs", "-e", compiled(script)];
      const child = spawn(process.execPath, args, {
        cwd: root,
        env: { PW: db.migrator.password, PATH: process.env["PATH"] },
      });
      await until("pg_dump runs", () => pid() > 0);
      await until("its folder is there", () => readdirSync(join(place.folder, "backups")).length > 0);
      child.kill("SIGKILL");
      await until("pg_dump is gone", () => !alive(pid()));
      await admin.query("ROLLBACK");
      const [left] = readdirSync(join(place.folder, "backups"));
      expect(left).to.match(/^\.partial-/);
      const result = await dump(place.options(db));
      expect(readdirSync(join(place.folder, "backups"))).to.deep.equal([result.name]);
      expect(result.warnings).to.deep.equal([]);
    }));
});

/** Import lines become require(), for node -e. */
function compiled(script: string): string {
  return script.replace(/import (\{.*\}) from (".*");/g, "const $1 = require($2);");
}
