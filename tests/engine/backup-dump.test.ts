import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { escapeIdentifier } from "pg";
import { type BackupProgress, dump, type DumpOptions, findClient, preflight, verifyBackup } from "../../engine/backup";
import {
  connectReader,
  type ConnectionSettings,
  knownServer,
  resolveConnection,
  toClientEnv,
} from "../../engine/connect";
import { GuardianError } from "../../engine/errors";
import { pgClient17 } from "../../scripts/pg-client-17";
import { skip } from "../support/skip";
import { type Login, type Major, type V6, withEmpty, withV6 } from "../support/postgres";

const marker = "GEHEIM-7731";

for (const major of [15, 17] satisfies Major[]) {
  describe(`a backup of PostgreSQL ${major}`, function () {
    this.timeout(120_000);
    let bin: string;
    let folder: string;

    before(async function () {
      const found = await (major === 17
        ? pgClient17()
        : findClient("pg_dump", 15).then(
            ({ path }) => ({ bin: dirname(path) }),
            () => ({ bin: undefined, reason: "no pg_dump 15 or later is installed" }),
          ));
      if (found.bin !== undefined) return void (bin = found.bin);
      skip(this, "reason" in found ? found.reason : "no pg_dump");
    });
    beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "guardian dump "))));
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    function settingsOf(login: Login, database: string): ConnectionSettings {
      const { host, port, user, password } = login;
      return resolveConnection({ host, port, user, database, passwordFrom: "env:PW" }, { PW: password, HOME: folder });
    }

    function options(db: V6, more: Partial<DumpOptions> = {}): DumpOptions {
      return {
        settings: settingsOf(db.migrator, db.name),
        directory: join(folder, "backups"),
        jobs: 2,
        excludeSchemas: ["guardian_migration"],
        ledgerId: "5b0c0b6e-0000-4000-8000-000000000000",
        protects: { "000_audit_log": "abc" },
        env: { GUARDIAN_PG_BIN: bin },
        ...more,
      };
    }

    /** A folder with a pg_dump that runs `script` first; it notes its process id and arguments. */
    function wrapped(script: string): { env: NodeJS.ProcessEnv; pid: () => number; args: () => string } {
      const wrapper = join(folder, "wrapper");
      mkdirSync(wrapper);
      const note = join(wrapper, "note");
      for (const name of ["pg_dump", "pg_restore"]) {
        const extra = name === "pg_dump" ? `echo $$ > '${note}'; echo "$@" >> '${note}'\n${script}` : "";
        const text = `#!/bin/sh\nreal='${bin}/${name}'\n[ "$1" = --version ] && exec "$real" --version\n${extra}\nexec "$real" "$@"\n`;
        writeFileSync(join(wrapper, name), text, { mode: 0o755 });
      }
      const lines = () => (existsSync(note) ? readFileSync(note, "utf8") : "").split("\n");
      return { env: { GUARDIAN_PG_BIN: wrapper }, pid: () => Number(lines()[0]), args: () => lines()[1] ?? "" };
    }

    async function refusal(promise: Promise<unknown>): Promise<string> {
      try {
        await promise;
      } catch (err) {
        if (!(err instanceof GuardianError)) throw err;
        expect(err.message).not.to.contain(marker);
        return err.message;
      }
      throw new Error("was not refused");
    }

    /** Nothing is left in the backup directory, and the process is gone. */
    function expectNothing(pid?: number): void {
      const left = existsSync(join(folder, "backups")) ? readdirSync(join(folder, "backups")) : [];
      expect(left).to.deep.equal([]);
      if (pid) expect(alive(pid), "pg_dump lives on").to.equal(false);
    }

    async function until(condition: () => boolean, seconds: number): Promise<void> {
      const end = Date.now() + seconds * 1000;
      while (!condition()) {
        if (Date.now() > end) throw new Error("did not come about in time");
        await sleep(50);
      }
    }

    it("S-2: is private, whole, consistent with its own counts, and can be restored", () =>
      withV6(major, async (db) => {
        const admin = await db.connect("admin");
        await admin.query("CREATE SCHEMA guardian_migration; CREATE TABLE guardian_migration.hidden (i int)");
        await admin.query(
          'CREATE SCHEMA "Odd ""name"; CREATE TABLE "Odd ""name"."T 1" (i int); INSERT INTO "Odd ""name"."T 1" VALUES (1)',
        );
        await admin.query(
          "CREATE TABLE part (i int) PARTITION BY RANGE (i); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9)",
        );
        await admin.query("INSERT INTO part SELECT 1 FROM generate_series(1, 5); SELECT lo_create(0)");
        const progress: BackupProgress[] = [];
        const umask = process.umask(0);
        const settings = settingsOf(db.admin, db.name);
        // Rows that come in while the dump runs are in neither the dump nor the counts.
        const load = { on: true };
        const writer = (async () => {
          const other = await db.connect("admin");
          while (load.on) await other.query("INSERT INTO part VALUES (2)");
        })();
        const result = await dump(options(db, { settings, onProgress: (one) => progress.push(one) })).finally(() => {
          process.umask(umask);
          load.on = false;
        });
        await writer;

        expect(readdirSync(join(folder, "backups"))).to.deep.equal([result.name]);
        const modes = (path: string): string[] =>
          readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
            const inside = join(path, entry.name);
            const mode = (statSync(inside).mode & 0o777).toString(8);
            return entry.isDirectory() ? [mode, ...modes(inside)] : [mode];
          });
        expect(new Set(modes(join(folder, "backups")))).to.deep.equal(new Set(["700", "600"]));

        const manifest = await verifyBackup(result.path, { sha: true });
        expect(manifest).to.deep.equal(result.manifest);
        const info = await knownServer(settings);
        expect(manifest.server).to.deep.equal({
          version: info.version,
          systemIdentifier: info.systemIdentifier,
          database: db.name,
        });
        expect(manifest.largeObjects).to.equal(1);
        expect(manifest.pgDump.version).to.match(new RegExp(`^${major}\\.`));
        expect(manifest.finishedAt > manifest.startedAt).to.equal(true);
        const rows = Object.fromEntries(manifest.tables.map((one) => [`${one.schema}.${one.table}`, one.rows]));
        expect(rows)
          .to.include({ "auth.users": 300, 'Odd "name.T 1': 1 })
          .and.not.have.any.keys("guardian_migration.hidden", "public.part");
        expect(rows["public.part_1"]).to.be.at.least(5);
        expect(JSON.stringify(manifest)).not.to.contain(db.admin.password);

        const copy = `${db.name}_copy`;
        await admin.query(`CREATE DATABASE ${escapeIdentifier(copy)} TEMPLATE template0`);
        const target = settings.withDatabase(copy);
        const args = ["--exit-on-error", `--dbname=${copy}`, join(result.path, "dump")];
        execFileSync(join(bin, "pg_restore"), args, { env: toClientEnv(target, "test") });
        const reader = await connectReader(target, { detail: "test" });
        for (const { schema, table, rows: expected } of manifest.tables) {
          const name = `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
          const counted = await reader.read((read) =>
            read.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`),
          );
          expect(counted.rows, name).to.deep.equal([{ n: expected }]);
        }
        const hidden = await reader.read((read) => read.query("SELECT to_regnamespace('guardian_migration') AS n"));
        expect(hidden.rows).to.deep.equal([{ n: null }]);
        await reader.close();
        await admin.query(`DROP DATABASE ${escapeIdentifier(copy)}`);
      }));

    it("hands the password over by the environment alone, and reports progress", () =>
      withV6(major, async (db) => {
        const { env, args } = wrapped("sleep 3");
        const progress: BackupProgress[] = [];
        const settings = settingsOf(db.admin, db.name);
        await dump(options(db, { env, settings, onProgress: (one) => progress.push(one) }));
        expect(args()).to.match(
          /--format=directory --file=.*--jobs=2 --snapshot=\S+ --lock-wait-timeout=60000 --no-password --compress=1/,
        );
        expect(args()).not.to.contain(db.admin.password);
        expect(progress[0]).to.include({ phase: "dumping", seconds: 2 });
        expect(progress[0]?.tablesCounted).to.equal(progress[0]?.tables).and.be.greaterThan(5);
      }));

    it("needs the right to read everything, and names what is missing", () =>
      withV6(major, async (db) => {
        const admin = await db.connect("admin");
        await admin.query("CREATE SCHEMA closed; CREATE TABLE closed.t (i int); CREATE SEQUENCE closed.s");
        await admin.query("CREATE TABLE seen (i int); ALTER TABLE seen ENABLE ROW LEVEL SECURITY");
        const weak = `weak_${process.pid}`;
        await admin.query(`CREATE ROLE ${weak} LOGIN PASSWORD '${db.admin.password}'`);
        try {
          const missing = await refusal(
            dump(options(db, { settings: settingsOf({ ...db.admin, user: weak }, db.name) })),
          );
          expect(missing).to.match(
            new RegExp(
              `^${weak} may not read \\d+ objects, and row security hides rows of .*; a backup must hold all\n`,
            ),
          );
          for (const statement of [
            "USAGE ON SCHEMA closed",
            "SELECT ON TABLE closed.t",
            "SELECT ON SEQUENCE closed.s",
          ]) {
            expect(missing).to.contain(`GRANT ${statement} TO "${weak}";`);
          }
          await admin.query(`GRANT pg_read_all_data TO ${weak}`);
          const hidden = await refusal(
            dump(options(db, { settings: settingsOf({ ...db.admin, user: weak }, db.name) })),
          );
          expect(hidden).to.match(/^row security hides rows of auth.users, .*, \d+ more from weak_\d+; a backup/);
          expect(hidden).to.contain(`to do: as a superuser or the owner: ALTER ROLE "${weak}" BYPASSRLS;\n`);
          await admin.query(`ALTER ROLE ${weak} BYPASSRLS; SELECT lo_create(0)`);
          const objects = await refusal(
            dump(options(db, { settings: settingsOf({ ...db.admin, user: weak }, db.name) })),
          );
          expect(objects).to.match(/may not read 1 large objects/);
          await admin.query("SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
          await dump(options(db, { settings: settingsOf({ ...db.admin, user: weak }, db.name) }));
        } finally {
          await admin.query(`DROP OWNED BY ${weak}; DROP ROLE ${weak}`);
        }
      }));

    it("preflight finds all that is wrong, and writes nothing", () =>
      withV6(major, async (db) => {
        writeFileSync(join(folder, "file"), "");
        const settings = settingsOf(db.migrator, db.name);
        const reader = await connectReader(settings, { detail: "test" });
        const check = (directory: string, env: NodeJS.ProcessEnv) =>
          reader.read((read) =>
            preflight(read, { server: reader.server, where: String(settings), directory, excludeSchemas: [], env }),
          );
        const good = await check(join(folder, "a", "b"), { GUARDIAN_PG_BIN: bin });
        expect(good).to.deep.equal({ errors: [], warnings: [] });
        const bad = await check(join(folder, "file", "b"), { GUARDIAN_PG_BIN: "/nowhere" });
        expect(bad.errors.map((err) => err.what.replace(/;.*/, ""))).to.deep.equal([
          `pg_dump ${major} or later is needed for a PostgreSQL ${major} server`,
          `pg_restore ${major} or later is needed for a PostgreSQL ${major} server`,
          "the backup folder cannot be written (ENOTDIR)",
        ]);
        expect(readdirSync(folder)).to.deep.equal(["file"]);
        await reader.close();
        expect(await refusal(dump(options(db, { directory: join(folder, "file") })))).to.match(
          /^the backup folder cannot be/,
        );
      }));

    it("a disk that is full", () =>
      withV6(major, async (db) => {
        // The limit on file size stands for the full disk: its signal first, then its error.
        const { env } = wrapped("ulimit -f 4");
        expect(await refusal(dump(options(db, { env })))).to.match(
          /^pg_dump failed: the disk is full, or a limit on file size/,
        );
        expectNothing();
        rmSync(join(folder, "wrapper"), { recursive: true });
        const ignoring = wrapped("trap '' XFSZ; ulimit -f 4");
        const message = await refusal(dump(options(db, { env: ignoring.env })));
        expect(message).to.match(/^pg_dump failed: the disk is full.*\n.*pg_dump said: .*File too large/);
        expectNothing();
      }));

    it("a pg_dump that is killed, fails, leaves rows out, or quotes a row", () =>
      withV6(major, async (db) => {
        const cases = {
          "kill -9 $$": /^pg_dump failed: signal 9 ended it\n/,
          [`echo 'pg_dump: error: query failed: ERROR:  bad value "${marker}"' >&2; exit 1`]: /the rest is withheld/,
          'exec "$real" "$@" --exclude-table-data=public.documents': /^pg_dump left out the rows of public.documents\n/,
          'for a in "$@"; do case $a in --file=*) d=${a#--file=}; esac; done; mkdir "$d"; echo x > "$d/toc.dat"; exit 0':
            /^pg_restore --list failed: /,
        };
        for (const [script, expected] of Object.entries(cases)) {
          const { env } = wrapped(script);
          expect(await refusal(dump(options(db, { env }))), script).to.match(expected);
          expectNothing();
          rmSync(join(folder, "wrapper"), { recursive: true });
        }
      }));

    it("a table that someone has locked", () =>
      withV6(major, async (db) => {
        const admin = await db.connect("admin");
        await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
        const { env, pid } = wrapped("");
        expect(await refusal(dump(options(db, { env, lockWait: 1 })))).to.match(
          /^pg_dump failed: another session holds an exclusive lock on a table/,
        );
        expectNothing(pid());
      }));

    it("^C while it runs", () =>
      withV6(major, async (db) => {
        const admin = await db.connect("admin");
        await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
        const { env, pid } = wrapped("");
        const stop = new AbortController();
        const running = refusal(dump(options(db, { env, signal: stop.signal })));
        await until(() => pid() > 0, 20);
        stop.abort();
        const started = Date.now();
        expect(await running).to.match(/^the backup was cancelled; what it had written is removed\n/);
        expect(Date.now() - started).to.be.lessThan(5000);
        expectNothing(pid());
      }));

    it("kill -9 of this product: pg_dump ends by itself, and the next run clears up", () =>
      withV6(major, async (db) => {
        const admin = await db.connect("admin");
        await admin.query("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE");
        const { env, pid } = wrapped("");
        const { host, port, user } = db.migrator;
        const input = { host, port, user, database: db.name, passwordFrom: "env:PW" };
        const plain = {
          directory: join(folder, "backups"),
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
        await until(() => pid() > 0, 30);
        await until(() => readdirSync(join(folder, "backups")).length > 0, 5);
        child.kill("SIGKILL");
        await until(() => !alive(pid()), 5);
        await admin.query("ROLLBACK");
        const [left] = readdirSync(join(folder, "backups"));
        expect(left).to.match(/^\.partial-/);
        const result = await dump(options(db));
        expect(readdirSync(join(folder, "backups"))).to.deep.equal([result.name]);
        expect(result.warnings).to.deep.equal([]);
      }));

    it("an extension's own tables are not part of it, its configuration is", () =>
      withEmpty(major, async (db) => {
        const admin = await db.connect("admin");
        await admin.query("CREATE EXTENSION pgcrypto; CREATE TABLE own (i int); CREATE TABLE config AS SELECT 1 AS i");
        await admin.query("ALTER EXTENSION pgcrypto ADD TABLE own; ALTER EXTENSION pgcrypto ADD TABLE config");
        await admin.query(
          "UPDATE pg_extension SET extconfig = ARRAY['config'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'pgcrypto'",
        );
        const weak = `member_${process.pid}`;
        await admin.query(
          `CREATE ROLE ${weak} LOGIN PASSWORD '${db.admin.password}'; GRANT SELECT ON config TO ${weak}`,
        );
        try {
          const result = await dump(options(db, { settings: settingsOf({ ...db.admin, user: weak }, db.name) }));
          const expected = [{ schema: "public", table: "config", rows: 1, extension: "pgcrypto" }];
          expect(result.manifest.tables).to.deep.equal(expected);
        } finally {
          await admin.query(`DROP OWNED BY ${weak}; DROP ROLE ${weak}`);
        }
      }));

    it("says which folders of other machines it leaves alone", () =>
      withEmpty(major, async (db) => {
        const other = join(folder, "backups", ".partial-other");
        mkdirSync(other, { recursive: true });
        writeFileSync(join(other, "owner.json"), JSON.stringify({ host: "elsewhere", pid: 1 }));
        const result = await dump(options(db, { settings: settingsOf(db.admin, db.name) }));
        expect(result.warnings).to.deep.equal([
          `${other} is a backup under way, or of a run that died on another machine`,
        ]);
      }));
  });
}

/** Import lines become require(), for node -e. */
function compiled(script: string): string {
  return script.replace(/import (\{.*\}) from (".*");/g, "const $1 = require($2);");
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie that nobody has waited for yet does not run.
    return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
