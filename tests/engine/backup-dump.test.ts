import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { escapeIdentifier } from "pg";
import { type BackupProgress, dump, preflight, verifyBackup } from "../../engine/backup";
import { connectReader, knownServer, toClientEnv } from "../../engine/connect";
import { settingsOf } from "../../scripts/v6/operator";
import { major, withEmpty, withV6 } from "../support/postgres";
import { refusal, useDumps } from "./dumps";

describe("a backup of PostgreSQL", function () {
  this.timeout(120_000);
  const place = useDumps();

  it("S-2: is private, whole, consistent with its own counts, and can be restored", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE ROLE odd_settings; ALTER ROLE odd_settings SET search_path = geheim");
      await admin.query("CREATE SCHEMA guardian_migration; CREATE TABLE guardian_migration.hidden (i int)");
      await admin.query(
        'CREATE SCHEMA "Odd ""name"; CREATE TABLE "Odd ""name"."T 1" (i int); INSERT INTO "Odd ""name"."T 1" VALUES (1)',
      );
      await admin.query(
        "CREATE TABLE part (i int) PARTITION BY RANGE (i); CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9)",
      );
      await admin.query("INSERT INTO part SELECT 1 FROM generate_series(1, 5); SELECT lo_create(0)");
      const umask = process.umask(0);
      const settings = settingsOf(db.admin);
      // Rows that come in while the dump runs are in neither the dump nor the counts.
      const load = { on: true };
      const writer = (async () => {
        const other = await db.connect("admin");
        while (load.on) await other.query("INSERT INTO part VALUES (2)");
      })();
      const result = await place.take(db).finally(() => {
        process.umask(umask);
        load.on = false;
      });
      await writer;

      expect(readdirSync(join(place.folder, "backups"))).to.deep.equal([result.name]);
      const modes = (path: string): string[] =>
        readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
          const inside = join(path, entry.name);
          const mode = (statSync(inside).mode & 0o777).toString(8);
          return entry.isDirectory() ? [mode, ...modes(inside)] : [mode];
        });
      expect(new Set(modes(join(place.folder, "backups")))).to.deep.equal(new Set(["700", "600"]));

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
      // 17-1: what is around the tables; settings, which may be secrets, as hashes.
      expect(manifest.files.map((file) => file.path)).to.include.members(["roles.sql", "dump/toc.dat"]);
      const roles = readFileSync(join(result.path, "roles.sql"), "utf8");
      expect(roles)
        .to.match(/^CREATE ROLE guardian_migrator;$/m)
        .and.match(/^GRANT anon TO authenticator\b/m);
      expect(roles)
        .to.contain(`SET search_path TO 'geheim'`)
        .and.not.match(/PASSWORD|SCRAM/);
      expect(manifest.around?.facts["role"]?.["guardian_migrator"]).to.contain('"rolbypassrls": true');
      expect(manifest.around?.facts["setting"]).to.have.property("search_path for odd_settings in every database");
      expect(JSON.stringify(manifest)).not.to.contain("geheim");

      // 19-4: by what a later look tells what was changed since. A function's body may hold a key: of definitions there are hashes.
      const { roots, oldestRunning, statistics, definitions } = manifest.moment ?? {};
      expect(Object.values(roots ?? {})).to.include.members(["auth.users", "public.documents"]);
      expect(Object.keys(statistics?.deleted ?? {})).to.deep.equal(Object.keys(roots ?? {}));
      expect(Number(oldestRunning)).to.be.greaterThan(3);
      expect(definitions?.objects["table auth.users"]).to.match(/^[0-9a-f]{32}$/);
      const file = manifest.tables.find(({ table }) => table === "documents")?.file;
      expect(file).to.match(/^dump\/\d+\.dat/);
      expect(manifest.files.map(({ path }) => path)).to.include(file);

      const copy = `${db.name}_copy`;
      await admin.query(`CREATE DATABASE ${escapeIdentifier(copy)} TEMPLATE template0`);
      const target = settings.withDatabase(copy);
      const args = ["--exit-on-error", `--dbname=${copy}`, join(result.path, "dump")];
      execFileSync(join(place.bin, "pg_restore"), args, { env: toClientEnv(target, "test") });
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
      await admin.query("DROP ROLE odd_settings");
    }));

  it("hands the password over by the environment alone, and reports progress", () =>
    withV6(async (db) => {
      const { env, args } = place.wrapped("sleep 3");
      const progress: BackupProgress[] = [];
      await place.take(db, { env, onProgress: (one) => progress.push(one) });
      expect(args()).to.match(
        /--format=directory --file=.*--jobs=2 --snapshot=\S+ --lock-wait-timeout=60000 --no-password --compress=(zstd:1|gzip:1|1 )/,
      );
      expect(args()).not.to.contain(db.admin.password);
      expect(progress[0]).to.include({ phase: "dumping", seconds: 2 });
      expect(progress[0]?.tablesCounted).to.equal(progress[0]?.tables).and.be.greaterThan(5);
    }));

  it("needs the right to read everything, and names what is missing", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE SCHEMA closed; CREATE TABLE closed.t (i int); CREATE SEQUENCE closed.s");
      await admin.query("CREATE TABLE seen (i int); ALTER TABLE seen ENABLE ROW LEVEL SECURITY");
      const weak = `weak_${process.pid}`;
      await admin.query(`CREATE ROLE ${weak} LOGIN PASSWORD '${db.admin.password}'`);
      try {
        const settings = settingsOf({ ...db.admin, user: weak });
        const missing = await refusal(place.take(db, { settings }));
        expect(missing).to.match(
          new RegExp(
            `^${weak} may not read \\d+ objects, and row security hides rows of .*; a backup must hold all \\[right-missing\\]\n`,
          ),
        );
        for (const statement of ["USAGE ON SCHEMA closed", "SELECT ON TABLE closed.t", "SELECT ON SEQUENCE closed.s"]) {
          expect(missing).to.contain(`GRANT ${statement} TO "${weak}";`);
        }
        await admin.query(`GRANT pg_read_all_data TO ${weak}`);
        const hidden = await refusal(place.take(db, { settings }));
        expect(hidden).to.match(/^row security hides rows of auth.users, .*, \d+ more from weak_\d+; a backup/);
        expect(hidden).to.contain(`to do: as a superuser or the owner: ALTER ROLE "${weak}" BYPASSRLS;\n`);
        await admin.query(`ALTER ROLE ${weak} BYPASSRLS; SELECT lo_create(0)`);
        const objects = await refusal(place.take(db, { settings }));
        // 16-18: which, since an oid is all that a large object has.
        const { rows: large } = await admin.query<{ oid: number }>("SELECT oid FROM pg_largeobject_metadata");
        expect(objects).to.match(/may not read 1 large object, and a backup must hold all/);
        expect(objects).to.contain(`GRANT SELECT ON LARGE OBJECT ${large[0]!.oid} TO "${weak}";`);
        await admin.query("SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
        await place.take(db, { settings });
      } finally {
        await admin.query(`DROP OWNED BY ${weak}; DROP ROLE ${weak}`);
      }
    }));

  it("preflight finds all that is wrong, and writes nothing", () =>
    withV6(async (db) => {
      writeFileSync(join(place.folder, "file"), "");
      const settings = settingsOf(db.migrator);
      const reader = await connectReader(settings, { detail: "test" });
      const check = (directory: string, env: NodeJS.ProcessEnv) =>
        reader.read((read) =>
          preflight(read, { server: reader.server, where: String(settings), directory, excludeSchemas: [], env }),
        );
      for (const made of ["/proc/backups", "/sys/a/b", "/dev/shm/backups"]) {
        const { errors } = await check(made, place.means.env);
        expect(errors.map((err) => err.message).join(), `16-18 ${made}`).to.match(
          /keeps no files \((proc|sysfs|dev)\)/,
        );
      }
      const good = await check(join(place.folder, "a", "b"), place.means.env);
      expect(good).to.deep.equal({ errors: [], faults: [], warnings: [] });
      const bad = await check(join(place.folder, "file", "b"), { GUARDIAN_PG_BIN: "/nowhere" });
      expect(bad.errors.map((err) => err.what.replace(/;.*/, ""))).to.deep.equal([
        `pg_dump ${major} or later is needed for a PostgreSQL ${major} server`,
        `pg_dumpall ${major} or later is needed for a PostgreSQL ${major} server`,
        `pg_restore ${major} or later is needed for a PostgreSQL ${major} server`,
        "the backup folder cannot be written (ENOTDIR)",
      ]);
      expect(readdirSync(place.folder)).to.deep.equal(["file"]);
      await reader.close();
      expect(await refusal(dump(place.options(db, { directory: join(place.folder, "file") })))).to.match(
        /^the backup folder cannot be/,
      );
    }));

  it("an extension's own tables are not part of it, its configuration is", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE EXTENSION pgcrypto; CREATE TABLE own (i int); CREATE TABLE config AS SELECT 1 AS i");
      await admin.query("ALTER EXTENSION pgcrypto ADD TABLE own; ALTER EXTENSION pgcrypto ADD TABLE config");
      await admin.query(
        "UPDATE pg_extension SET extconfig = ARRAY['config'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'pgcrypto'",
      );
      const weak = `member_${process.pid}`;
      await admin.query(`CREATE ROLE ${weak} LOGIN PASSWORD '${db.admin.password}'; GRANT SELECT ON config TO ${weak}`);
      try {
        const result = await place.take(db, { settings: settingsOf({ ...db.admin, user: weak }) });
        const tables = result.manifest.tables.map(({ oid, file = "", ...table }) => {
          expect(file).to.match(/^dump\/\d+\.dat/);
          return { ...table, oid: typeof oid };
        });
        const config = { schema: "public", table: "config", rows: 1, extension: "pgcrypto", columns: ["i"] };
        expect(tables).to.deep.equal([{ ...config, oid: "number" }]);
      } finally {
        await admin.query(`DROP OWNED BY ${weak}; DROP ROLE ${weak}`);
      }
    }));

  it("says which folders of other machines it leaves alone", () =>
    withEmpty(async (db) => {
      const other = join(place.folder, "backups", ".partial-other");
      mkdirSync(other, { recursive: true });
      writeFileSync(join(other, "owner.json"), JSON.stringify({ host: "elsewhere", pid: 1 }));
      const result = await place.take(db);
      expect(result.warnings).to.deep.equal([
        `${other} is of a run on another machine or in another container, and may hold patients' data: remove it, if that run is gone`,
      ]);
    }));
});
