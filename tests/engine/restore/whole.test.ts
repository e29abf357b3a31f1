import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { escapeIdentifier } from "pg";
import { openBackup } from "../../../engine/backup/keep/read";
import { restore } from "../../../engine/backup/restore";
import { ownMark } from "../../../engine/base/process";
import { toClientEnv } from "../../../engine/connect";
import { compareFingerprints } from "../../../engine/fingerprint/compare";
import { quickFingerprint, takeFingerprint } from "../../../engine/fingerprint/take";
import type { Difference, Fingerprint } from "../../../engine/fingerprint/types";
import { runV6Script } from "../../../engine/fingerprint/v6-script";
import { withClient } from "../../../scripts/v6/database";
import { settingsOf } from "../../../scripts/v6/operator";
import { CutWire } from "../../support/cut-wire";
import { type Login, withEmpty, withV6 } from "../../support/postgres";
import { refusal, useDumps } from "../dumps";
import { awkward } from "../prove/awkward";
import { useScratch } from "../prove/scratch";
import { long } from "../../support/long";

describe("a whole backup that is restored", function () {
  this.timeout(240_000);
  const place = useDumps();
  // Another server, on which nothing is.
  const elsewhere = useScratch();
  const fingerprint = (login: Login, ...ignoreSchemas: string[]): Promise<Fingerprint> =>
    withClient(login, (client) => {
      const tool = { pgDump: join(place.bin, "pg_dump"), env: toClientEnv(settingsOf(login)) };
      return takeFingerprint(client, { ...tool, ignoreSchemas });
    });
  const databases = (): Promise<string[]> =>
    withClient(elsewhere.login(), async (client) => {
      const found = await client.query<{ name: string }>(
        "SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1",
      );
      return found.rows.map(({ name }) => name);
    });

  it("17-1 is proven, whatever is in it, and 17-6 equals the original on a server that was empty, from its files alone: content, schema, roles, settings; and the v6 script passes", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      const [base, role] = [escapeIdentifier(db.name), `odd_${process.pid}`];
      await admin.query(awkward);
      await admin.query(
        `CREATE ROLE "${role} x" LOGIN VALID UNTIL '2030-01-01' IN ROLE anon; CREATE ROLE ${role} ADMIN "${role} x"`,
      );
      await admin.query(
        `ALTER ROLE "${role} x" SET search_path = "$user", auth; ALTER ROLE ALL SET vacuum_cost_delay = '1ms'`,
      );
      // Roles are dumped by name, and so made in another order than here.
      await admin.query(`CREATE POLICY two ON checked TO "${role} x", ${role} USING (true)`);
      await admin.query(`ALTER ROLE anon IN DATABASE ${base} SET statement_timeout = '3s'`);
      await admin.query(
        `ALTER DATABASE ${base} SET work_mem = '5MB'; ALTER DATABASE ${base} SET TimeZone = 'Asia/Kolkata'`,
      );
      await admin.query(
        `CREATE TABLE bytes AS SELECT 1 AS i, '\\xff00'::bytea AS b; ALTER DATABASE ${base} SET bytea_output = 'escape'`,
      );
      await admin.query(
        `ALTER DATABASE ${base} OWNER TO guardian_migrator; ALTER DATABASE ${base} CONNECTION LIMIT 90`,
      );
      await admin.query(
        `GRANT TEMP ON DATABASE ${base} TO "${role} x"; COMMENT ON DATABASE ${base} IS 'DATABASE ${base};'`,
      );
      try {
        const made = await place.take(db);
        const alone = join(place.folder, "carried", made.name);
        cpSync(made.path, alone, { recursive: true });
        rmSync(made.path, { recursive: true });
        const original = await fingerprint(db.admin);
        const copy = { ...elsewhere.login(), database: db.name };
        const phases: string[] = [];
        const onProgress = ({ phase }: { phase: string }): void => void phases.push(phase);
        // A list of varchar is told with other casts once it was read again; roles and a child's columns stand in another order.
        const told = [
          "POLICY public.checked two",
          "TABLE public.checked",
          "TABLE public.documents",
          "table rows public.child",
        ];

        const proof = await elsewhere.prove({ ...made, path: alone }, { ...place.means, onProgress });
        expect(proof).to.deep.include({ verdict: "proven", unproven: [], bytes: made.bytes, rows: made.rows });
        expect(proof.restoreSeconds).to.be.within(0.1, proof.seconds);
        const steps = ["hashing", "restoring", "dumping again", "comparing", "checking indexes"];
        expect([...new Set(phases.splice(0))]).to.deep.equal(steps);
        expect(readdirSync(join(place.folder, "carried")), "the copy's own dump is gone").to.deep.equal([made.name]);
        const proven = compareFingerprints(original, await fingerprint(copy, "guardian_proof"));
        expect(namesOf(proven.filter(({ text }) => !text.includes("amcheck")))).to.deep.equal(told);

        await elsewhere.empty();
        const backup = await openBackup(alone);
        const done = await restore(backup, settingsOf(copy), place.restoring({ onProgress }));
        expect(done.left).to.deep.equal([]);
        expect(done).to.include({ database: db.name, rows: made.rows, largeObjects: 2 });
        expect(done.roles).to.include("guardian_migrator").and.include(`${role} x`);
        expect(done.passwords).to.include(`${role} x`).and.include("guardian_migrator").and.not.include("postgres");
        expect([...new Set(phases)]).to.deep.equal(["hashing", "roles", "restoring", "comparing", "finishing"]);
        expect(await databases()).to.deep.equal([db.name]);
        await backup.close();
        expect(readdirSync(join(place.folder, "carried"))).to.deep.equal([made.name]);

        expect(namesOf(compareFingerprints(original, await fingerprint(copy)))).to.deep.equal(told);
        await withClient(copy, async (client) => {
          const { steps } = await runV6Script(client);
          expect(steps.filter((step) => !step.passed)).to.deep.equal([]);
          expect(steps.length).to.be.greaterThan(5);
        });

        // Now it is there, and has something in it.
        const before = await withClient(copy, (client) => quickFingerprint(client));
        expect(await refusal(restore(backup, settingsOf(copy), place.restoring()))).to.match(
          /^test_\w+ is not empty; nothing was written \[restore-refused\]\n.*in it: .*\n.*\n.*--into-nonempty test_/,
        );
        const { systemIdentifier } = backup.manifest.server;
        expect(systemIdentifier).to.match(/^\d+$/);
        const after = await withClient(copy, (client) => quickFingerprint(client));
        expect(compareFingerprints(before, after)).to.deep.equal([]);
        for (const said of [{}, { intoNonempty: db.name }, { live: "another" }])
          expect(await refusal(restore(backup, settingsOf(db.admin), place.restoring(said)))).to.match(
            /^test_\w+ is the database that the backup or the stack is of, .* it is live; nothing was written \[restore-refused\]\n[^]*--live test_/,
          );
      } finally {
        await admin.query(
          `DROP OWNED BY "${role} x", ${role}; DROP ROLE ${role}; DROP ROLE "${role} x"; ALTER ROLE ALL RESET ALL`,
        );
      }
    }));

  long(
    "17-6 goes into an empty database that is there, under another name, beside roles of others, which stay as they are",
    () =>
      withEmpty(async (db) => {
        await elsewhere.empty();
        const admin = await db.connect("admin");
        const role = `kept_${process.pid}`;
        await admin.query(`CREATE ROLE ${role} LOGIN; CREATE ROLE ${role}_new IN ROLE ${role}; CREATE TABLE t (i int);
        INSERT INTO t VALUES (1), (2); ALTER TABLE t OWNER TO ${role}; GRANT SELECT ON t TO ${role}_new`);
        await admin.query(`ALTER DATABASE ${escapeIdentifier(db.name)} SET work_mem = '5MB'`);
        try {
          const backup = await openBackup((await place.take(db)).path);
          const name = 'Ann\'s "db"';
          await withClient(elsewhere.login(), (client) => client.query(`CREATE DATABASE ${escapeIdentifier(name)}`));
          const to = settingsOf({ ...elsewhere.login(), database: name });
          expect(await refusal(restore(backup, to, place.restoring({ roles: false })))).to.match(
            new RegExp(
              `^roles that own or may use .* are not there: ${role}, ${role}_new; nothing was written \\[restore-refused\\]`,
            ),
          );
          await withClient(elsewhere.login(), (client) => client.query(`CREATE ROLE ${role} NOLOGIN`));
          const stops = new AbortController();
          const said = await refusal(
            restore(
              backup,
              to,
              place.restoring({ signal: stops.signal, afterContent: () => Promise.reject(new Error("not now")) }),
            ),
          );
          expect(said)
            .to.match(
              /^the restore failed: not now; what is in database Ann's "db" is not whole; roles that were made stay: /,
            )
            .and.contain("schema guardian_restoring in it says so");
          expect(await refusal(restore(backup, to, place.restoring()))).to.contain(
            "is not empty (a restore that did not come to its end left schema guardian_restoring: what is there is not whole)",
          );
          await withClient(elsewhere.login(), (client) => client.query(`DROP DATABASE ${escapeIdentifier(name)}`));
          await withClient(elsewhere.login(), (client) => client.query(`CREATE DATABASE ${escapeIdentifier(name)}`));
          const done = await restore(backup, to, place.restoring());
          expect(done.roles).to.deep.equal([]);
          expect(done.left).to.deep.equal([{ what: `role ${role}`, why: "the role was there, and stays as it is" }]);
          await withClient({ ...elsewhere.login(), database: name }, async (client) => {
            expect(
              (await client.query("SELECT current_setting('work_mem') AS m, count(*) AS n FROM t")).rows,
            ).to.deep.equal([{ m: "5MB", n: "2" }]);
            expect(
              (await client.query("SELECT FROM pg_namespace WHERE nspname = 'guardian_restoring'")).rowCount,
            ).to.equal(0);
          });
          // Whoever makes no roles restores beside those that are there.
          const beside = settingsOf({ ...elsewhere.login(), database: "beside" });
          expect(await restore(backup, beside, place.restoring({ roles: false }))).to.deep.include({
            roles: [],
            passwords: [],
            left: [],
          });
        } finally {
          await admin.query(`DROP OWNED BY ${role}, ${role}_new; DROP ROLE ${role}_new; DROP ROLE ${role}`);
        }
      }),
  );

  it("17-6 that is stopped or damaged never has its name, and says what is half there", () =>
    withEmpty(async (db) => {
      await elsewhere.empty();
      const admin = await db.connect("admin");
      await admin.query("CREATE TABLE t AS SELECT 1 AS i");
      const made = await place.take(db);
      const backup = await openBackup(made.path);
      const to = settingsOf({ ...elsewhere.login(), database: db.name });
      const stop = new AbortController();
      const onProgress = ({ phase }: { phase: string }): void => {
        if (phase === "comparing") stop.abort();
      };
      const said = await refusal(restore(backup, to, place.restoring({ signal: stop.signal, onProgress })));
      expect(said).to.match(
        /^the restore was stopped; what is in database (test_\w+_restoring_\w{8}) is not whole.* \[interrupted\]\n.*\n {2}to do: drop it: DROP DATABASE "\1"/,
      );
      const [left, ...more] = await databases();
      expect(more).to.deep.equal([]);
      expect(left).to.match(/_restoring_/);
      await backup.close();
      expect(readdirSync(join(place.folder, "backups"))).to.deep.equal([made.name]);
      const theirs = join(place.folder, "backups", ".partial-elsewhere");
      mkdirSync(theirs);
      writeFileSync(join(theirs, "owner.json"), JSON.stringify({ ...ownMark(), host: "elsewhere" }));
      const lying = { ...backup.manifest, tables: backup.manifest.tables.map((table) => ({ ...table, rows: 2 })) };
      writeFileSync(join(made.path, "manifest.json"), JSON.stringify(lying));
      const warned: string[] = [];
      const onWarning = (line: string): void => void warned.push(line);
      const damaged = await openBackup(made.path);
      const wrong = await refusal(restore(damaged, to, place.restoring({ onWarning })));
      await damaged.close();
      expect(warned.join("\n"), "what the first one left, and one elsewhere").to.match(
        new RegExp(
          `^database ${left} is of a restore .*killed.*\n/.*/\\.partial-elsewhere is of a run on another machine .*remove it`,
        ),
      );
      expect(wrong).to.match(
        /^the restore failed: counted in the dump's own snapshot, public\.t has 1 rows in the dump, and had 2; what is in database test_\w+_restoring_\w+ is not whole.* \[restore-failed\]/,
      );
      expect(await databases()).not.to.include(db.name);
      expect(existsSync(made.path)).to.equal(true);
    }));

  it("17-6 that loses its connection in the last statement says that all is there, and not that it is half", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE TABLE t AS SELECT 1 AS i");
      const backup = await openBackup((await place.take(db)).path);
      const name = `${db.name}_night`;
      const drafts = async (): Promise<string[]> =>
        (
          await admin.query<{ name: string }>("SELECT datname AS name FROM pg_database WHERE datname LIKE $1", [
            `${name}%`,
          ])
        ).rows.map((row) => row.name);
      try {
        for (const when of ["before", "after"] as const) {
          const wire = new Wire(db.admin.host, db.admin.port, when);
          const to = settingsOf({ ...db.admin, host: "127.0.0.1", port: await wire.listen(), database: name });
          const said = await refusal(restore(backup, to, place.restoring({ roles: false })));
          wire.stop();
          const [there, ...more] = await drafts();
          expect(more).to.deep.equal([]);
          expect(there).to.match(when === "after" ? /_night$/ : /_night_restoring_\w{8}$/);
          expect(said).to.match(
            /^the restore failed: .*; all of it was restored and compared, in database (\S+_restoring_\w{8}), which was to get the name \S+_night: whether it has it is not known.* \[restore-failed\]\n.*\n {2}to do: see which of the two is there; if \1 is, give it the name: ALTER DATABASE "\1" RENAME TO "\S+_night"/,
          );
          expect(said).not.to.contain("not whole");
          await admin.query(`DROP DATABASE ${escapeIdentifier(there ?? "")}`);
        }
      } finally {
        await backup.close();
        for (const one of await drafts()) await admin.query(`DROP DATABASE ${escapeIdentifier(one)}`);
      }
    }));
});

const namesOf = (differences: readonly Difference[]): string[] =>
  differences.map(({ kind, name }) => `${kind} ${name}`);

/** Is cut in the statement that gives a database its name. */
class Wire extends CutWire {
  protected override readonly sign = " RENAME TO ";

  constructor(
    host: string,
    port: number,
    private readonly when: "before" | "after",
  ) {
    super(host, port);
  }

  protected override cutNow(): "before" | "after" {
    return this.when;
  }
}
