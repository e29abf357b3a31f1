import { expect } from "chai";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownMark } from "../../engine/base/process";
import { checkScratch, openScratch, resolveScratch, type ScratchOptions } from "../../engine/scratch";
import { removeLeftovers } from "../../engine/scratch/folder";
import { give, serverAccount } from "../../engine/server/account";
import { alive } from "../../engine/base/process";
import { startServer } from "../../engine/server/server";
import { withClient } from "../../scripts/v6/database";
import { settingsOf } from "../../scripts/v6/operator";
import { major, withEmpty } from "../support/postgres";
import { until } from "../support/processes";
import { serve } from "../support/serving";
import { skip } from "../support/skip";
import { refusalOf } from "./module/harness";
import { long } from "../support/long";

const wanted: ScratchOptions = { major, bytes: 1, owner: "a test's", systemIdentifier: "another" };

/** A scratch server in a process of its own; its warden's id too. */
async function served() {
  const { child, folder } = await serve([String(major), "scratch"]);
  const postmaster = Number.parseInt(readFileSync(join(folder, "data", "postmaster.pid"), "utf8"), 10);
  const warden = Number(/\) \S+ (\d+)/.exec(readFileSync(`/proc/${postmaster}/stat`, "utf8"))?.[1]);
  return { child, folder, postmaster, warden };
}

describe("the scratch server", function () {
  this.timeout(180_000);

  it("17-3 is this machine's own, by a socket in a folder that nobody else may enter, and is gone when closed", async () => {
    const said: string[] = [];
    const scratch = await openScratch({ ...wanted, say: (line) => said.push(line) });
    const { host } = scratch.settings.fields;
    try {
      expect(scratch).to.include({ kind: "embedded", networked: false, major });
      const made = await scratch.createDatabase('odd "name"');
      const { rows } = await withClient({ ...made.fields, password: made.password()?.reveal() ?? "" }, (client) =>
        client.query(`SELECT current_database() AS name, current_setting('listen_addresses') AS tcp,
            current_setting('fsync') AS fsync, inet_server_addr() AS address`),
      );
      expect(rows).to.deep.equal([{ name: 'odd "name"', tcp: "", fsync: "off", address: null }]);
      expect(statSync(host).mode & 0o777).to.equal(0o700);
      expect(statSync(host).uid).to.equal(serverAccount()?.uid ?? process.getuid?.());
      expect(said).to.deep.equal([]);
    } finally {
      await scratch.close();
    }
    await scratch.close();
    expect(existsSync(host)).to.equal(false);
  });

  it("17-3 says so where the system makes none without a network", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian-unshare-"));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, "unshare"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const { PATH } = process.env;
    process.env["PATH"] = `${folder}:${PATH}`;
    const said: string[] = [];
    try {
      const scratch = await openScratch({ ...wanted, say: (line) => said.push(line) });
      await scratch.close();
      expect(scratch).to.include({ kind: "embedded", networked: true });
      expect(said.join()).to.match(/^the scratch server has a network, because this system makes none without /);
    } finally {
      process.env["PATH"] = PATH;
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("17-3 is refused with figures where it does not fit, and with the way out where there is no server of that version", async () => {
    const huge = await refusalOf(openScratch({ ...wanted, bytes: 1e18 }));
    expect(huge.code).to.equal("disk-too-small");
    expect(huge.what).to.equal("there is too little room to restore the backup: 953,674,316,407 MiB are needed");
    expect(huge.where).to.match(/: [\d,]+ MiB free/);
    expect((await refusalOf(checkScratch({ ...wanted, bytes: 1e18 }))).what).to.equal(huge.what);
    const none = await refusalOf(openScratch({ ...wanted, major: 14 }));
    expect(none.code).to.equal("scratch-failed");
    expect(none.todo.join()).to.contain("npm ci").and.to.contain("guardian:scratch.host");
    expect(await checkScratch(wanted)).to.match(new RegExp(`^an embedded PostgreSQL ${major} in /`));
  });

  long(
    "17-3 goes at once when its process is killed; with its warden killed too, the next one ends it and removes its data",
    async () => {
      const first = await served();
      first.child.kill("SIGKILL");
      await until("the warden cleans up", () => !existsSync(first.folder) && !alive(first.postmaster));

      const second = await served();
      process.kill(second.warden, "SIGKILL");
      second.child.kill("SIGKILL");
      await until("it is dead", () => !alive(second.child.pid ?? 0) || second.child.signalCode !== null);
      expect(existsSync(second.folder)).to.equal(true);
      // A living process's, and one that is just being made.
      const others = ["guardian-scratch-living", "guardian-scratch-young"].map((name) => join(tmpdir(), name));
      for (const folder of others) mkdirSync(folder, { recursive: true });
      writeFileSync(join(others[0]!, "owner.json"), JSON.stringify(ownMark()));
      give(serverAccount(), ...others);
      // Another user's, whose process is gone: only root can make one, and only root could remove it.
      const theirs = join(tmpdir(), "guardian-scratch-theirs");
      if (process.getuid?.() === 0) {
        mkdirSync(theirs, { recursive: true });
        writeFileSync(join(theirs, "owner.json"), JSON.stringify({ ...ownMark(), started: "another time" }));
        chownSync(theirs, 54_321, 54_321);
        others.push(theirs);
      }
      try {
        await (await openScratch(wanted)).close();
        expect(existsSync(second.folder), "the next run cleans up").to.equal(false);
        await until("its server ends", () => !alive(second.postmaster));
        expect(others.filter((folder) => !existsSync(folder))).to.deep.equal([]);
        // Its number was given to another process since.
        writeFileSync(join(others[0]!, "owner.json"), JSON.stringify({ ...ownMark(), started: "another time" }));
        expect(await removeLeftovers(serverAccount())).to.deep.equal([]);
        expect(others.filter((folder) => !existsSync(folder))).to.deep.equal(others.slice(0, 1));
      } finally {
        for (const folder of others) rmSync(folder, { recursive: true, force: true });
      }
    },
  );

  it("17-3 is no server that says in another language what it refuses", async function (this: Mocha.Context) {
    // A system without such a locale gets one by that name: glibc looks in LOCPATH first, which a server without a network gets here.
    const system = "/usr/lib/locale/C.utf8";
    if (!existsSync(system)) skip(this, `${system} is not there: no other locale can be made`);
    const folder = mkdtempSync(join(tmpdir(), "guardian-locale-"));
    chmodSync(folder, 0o755);
    for (const name of ["de_DE.utf8", "en_GB.utf8"]) cpSync(system, join(folder, name), { recursive: true });
    const unshare = `while [ "$1" != true ] && [ "$1" != -- ]; do shift; done\n[ "$1" = -- ] || exit 0\nshift\nLOCPATH='${folder}' exec "$@"`;
    writeFileSync(join(folder, "unshare"), `#!/bin/sh\n${unshare}\n`, { mode: 0o755 });
    const { PATH } = process.env;
    process.env["PATH"] = `${folder}:${PATH}`;
    const server = await startServer({ major, sealed: true }).finally(() => (process.env["PATH"] = PATH));
    try {
      const login = { ...server, database: "postgres" };
      const checked = (): Promise<unknown> => checkScratch({ ...wanted, configured: settingsOf(login) });
      const speak = (language: string): Promise<unknown> =>
        withClient(login, (client) => client.query(`ALTER ROLE postgres SET lc_messages = '${language}'`));
      await speak("de_DE.utf8");
      const { code, what, todo } = await refusalOf(checked());
      expect([code, ...todo]).to.deep.equal([
        "scratch-failed",
        "there, as a superuser: ALTER ROLE \"postgres\" SET lc_messages = 'C'",
      ]);
      expect(what).to.contain("lc_messages is de_DE.utf8");
      for (const language of ["en_GB.utf8", "C"]) {
        await speak(language);
        expect(await checked(), language).to.contain("guardian:scratch");
      }
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("17-3 on an operator's server is one database of our own making, and no other is touched", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      const names = async (): Promise<string[]> =>
        (
          await admin.query<{ name: string }>(
            "SELECT datname AS name FROM pg_database WHERE datname LIKE 'guardian_scratch_%' ORDER BY 1",
          )
        ).rows.map(({ name }) => name);
      const { password, ...login } = db.admin;
      const given = { ...login, sslmode: "disable", passwordFrom: "env:SCRATCH" };
      // What libpq's variables say is of the database that is migrated.
      const configured = resolveScratch(given, {
        SCRATCH: password,
        PGHOST: "prod",
        PGSERVICE: "prod",
        PGPASSWORD: "x",
      });
      const options = { ...wanted, configured };
      const { systemIdentifier } = (
        await admin.query<{ systemIdentifier: string }>(
          'SELECT system_identifier::text AS "systemIdentifier" FROM pg_control_system()',
        )
      ).rows[0]!;
      const refused = async (over: Partial<ScratchOptions>): Promise<string> =>
        (await refusalOf(openScratch({ ...options, ...over }))).what;
      expect(await refused({ systemIdentifier })).to.match(/^the scratch server is the server that was dumped/);
      expect(await refused({ major: major - 1 })).to.match(/^the scratch server is PostgreSQL \d+, and the dump is of/);
      await admin.query("CREATE ROLE scratch_poor LOGIN PASSWORD 'poor'");
      const poor = settingsOf({ ...db.admin, user: "scratch_poor", password: "poor" });
      const right = await refusalOf(checkScratch({ ...options, configured: poor }));
      await admin.query("DROP ROLE scratch_poor");
      expect([right.code, ...right.todo]).to.deep.equal([
        "right-missing",
        'there, as a superuser: ALTER ROLE "scratch_poor" CREATEDB',
      ]);
      const wrong = await refusalOf(checkScratch({ ...options, configured: resolveScratch(given, { SCRATCH: "x" }) }));
      expect(wrong.message).to.contain("guardian:scratch.passwordFrom").and.not.to.contain("guardian:database");
      expect(await checkScratch(options)).to.equal(`${configured.toString()} (guardian:scratch)`);
      expect(await names()).to.deep.equal([]);

      const scratch = await openScratch(options);
      const made = await scratch.createDatabase("guardian");
      const { database } = made.fields;
      expect(await names()).to.deep.equal([database]);
      const second = await openScratch(options);
      expect((await refusalOf(second.createDatabase("guardian"))).what).to.match(/^another run restores/);
      await second.close();
      expect(await names(), "it closes what it made").to.deep.equal([database]);
      // Killed: its session is gone, its database stays, and the next run makes it anew.
      await admin.query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'guardian-migration scratch'",
      );
      await admin.query(`ALTER DATABASE ${database} SET work_mem = '1MB'`);
      const third = await openScratch(options);
      await third.createDatabase("guardian");
      const settings = await admin.query(
        "SELECT 1 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase WHERE datname = $1",
        [database],
      );
      expect(settings.rowCount).to.equal(0);
      await third.close();
      await scratch.close();
      expect(await names()).to.deep.equal([]);
      await admin.query(`CREATE DATABASE ${database}`);
      const fourth = await openScratch(options);
      expect((await refusalOf(fourth.createDatabase("guardian"))).what).to.contain("does not bear this product's mark");
      await fourth.close();
      expect(await names()).to.deep.equal([database]);
      await admin.query(`DROP DATABASE ${database}`);
    }));
});
