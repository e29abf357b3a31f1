import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { connectReader, connectWriter, type DatabaseInput, probeServer, resolveConnection } from "../../engine/connect";
import { readServerInfo } from "../../engine/connect/server-info";
import { give, serverAccount } from "../../engine/server/account";
import { startServer, type Server } from "../../engine/server/server";
import { startPooler } from "../support/pooler";
import { major, server, withEmpty, withV6, type Login } from "../support/postgres";
import { refusalOf } from "./module/harness";

/** The error's text, with the port that changes from run to run replaced. */
const refusal = async (promise: Promise<unknown>): Promise<string> =>
  (await refusalOf(promise)).message.replaceAll(/:\d{4,5}\b/g, ":PORT");

function settingsOf(on: Omit<Login, "database">, input: DatabaseInput = {}, env: Record<string, string> = {}) {
  const { host, port, user } = on;
  const all = { host, port, user, database: "postgres", passwordFrom: "env:PW", ...input };
  return resolveConnection(all, { PW: on.password, HOME: "/nonexistent", ...env });
}

describe("probing PostgreSQL", function () {
  this.timeout(60_000);

  it("says which server and database it is and who we are", () =>
    withV6(async (db) => {
      const info = await probeServer(settingsOf(db.migrator, { database: db.name }));
      const admin = await db.connect("admin");
      const { rows } = await admin.query<{ id: string; oid: number }>(
        "SELECT (SELECT system_identifier::text FROM pg_control_system()) AS id, oid FROM pg_database WHERE datname = $1",
        [db.name],
      );
      expect(info).to.deep.include({
        major,
        systemIdentifier: rows[0]?.id,
        database: db.name,
        databaseOid: rows[0]?.oid,
        user: "guardian_migrator",
        isSuperuser: false,
        bypassRls: true,
        inRecovery: false,
        readOnly: false,
        encoding: "UTF8",
        tls: false,
      });
      expect(info.version).to.match(new RegExp(`^${major}\\.\\d+$`));
    }));
});

describe("refusing a connection", function () {
  this.timeout(60_000);
  let on: Server;
  before(async () => (on = await server()));

  it("no server there", async () => {
    const message = await refusal(probeServer(settingsOf(on, { port: 1 })));
    expect(message).to.equal(
      "no PostgreSQL server answers on 127.0.0.1:1 [server-down]\n" +
        "  where: 127.0.0.1:1/postgres as postgres (host, port, database, user from guardian:database; password from the variable PW)\n" +
        "  to do: start the dev database: npm run db -- start\n" +
        "     or: correct guardian:database.host in the stack's config: pulumi config set --path guardian:database.host HOST\n" +
        "     or: correct guardian:database.port in the stack's config: pulumi config set --path guardian:database.port PORT",
    );
  });

  it("unknown host, missing socket", async () => {
    const unknown = await refusal(probeServer(settingsOf(on, { host: "no-such-host.invalid" })));
    expect(unknown).to.match(/^the host name no-such-host.invalid cannot be resolved \[host-unknown\]\n/);
    const socket = await refusal(probeServer(settingsOf(on, { host: "/nonexistent" })));
    expect(socket).to.match(/^there is no PostgreSQL socket in \/nonexistent for port/);
  });

  describe("a server that", () => {
    let tcp: TcpServer;
    let port: number;
    async function listen(answer: "nothing" | "hang up") {
      tcp = createServer((socket) => {
        socket.on("error", () => undefined);
        if (answer === "hang up") socket.destroy();
      });
      await new Promise<void>((done) => tcp.listen(0, "127.0.0.1", done));
      port = (tcp.address() as AddressInfo).port;
    }
    afterEach(() => tcp.close());

    it("does not answer", async () => {
      await listen("nothing");
      const message = await refusal(probeServer(settingsOf(on, { port }, { PGCONNECT_TIMEOUT: "1" })));
      expect(message).to.match(/^127.0.0.1:PORT did not answer within 1 s \[server-unreachable\]\n/);
    });

    it("hangs up", async () => {
      await listen("hang up");
      expect(await refusal(probeServer(settingsOf(on, { port })))).to.match(
        /closed the connection while it was being set/,
      );
    });
  });

  it("wrong password, no password, unknown role, wrong database", async () => {
    const wrong = await refusal(probeServer(settingsOf(on, {}, { PW: "geheim" })));
    expect(wrong).to.match(
      /^the server refuses the password of user postgres \(SQLSTATE 28P01\) \[password-refused\]\n/,
    );
    expect(wrong).to.contain("to do: correct the password (it came from the variable PW)").and.not.contain("geheim");
    expect(wrong).to.contain("guardian:database.passwordFrom (env:NAME or file:PATH) or PGPASSWORD");
    expect(wrong).to.contain("or: if there is no such role: correct guardian:database.user in the stack's config");
    const none = { passwordFrom: undefined };
    expect(await refusal(probeServer(settingsOf(on, none)))).to.match(
      /^the server asks for a password for user postgres, and none is given \[password-missing\]\n/,
    );
    const role = await refusal(probeServer(settingsOf(on, { user: "nobody_here" })));
    expect(role).to.match(/^the server refuses the password of user nobody_here/);
    const database = await refusal(probeServer(settingsOf(on, { database: "nowhere" })));
    expect(database).to.match(
      /^the database nowhere does not exist on this server \(SQLSTATE 3D000\) \[database-missing\]\n/,
    );
    expect(database).to.contain("pulumi config set --path guardian:database.database DATABASE");
    const host = await refusal(probeServer(settingsOf(on, { host: "nowhere.invalid" })));
    expect(host).to.match(/^the host name nowhere.invalid cannot be resolved \[host-unknown\]\n/);
    expect(host).to.contain("to do: correct guardian:database.host in the stack's config");
  });

  it("names the key and the variable that the wrong value came from", async () => {
    const { host, port, user, password } = on;
    const env = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, HOME: "/nonexistent" };
    const refused = (over: Record<string, string>): Promise<string> =>
      refusal(probeServer(resolveConnection({}, { ...env, ...over })));
    expect(await refused({ PGDATABASE: "nowhere" })).to.contain(
      "to do: correct PGDATABASE, or set guardian:database.database in the stack's config, which wins over it",
    );
    expect(await refused({ PGUSER: "nobody_here" })).to.contain("if there is no such role: correct PGUSER, or set");
    expect(await refused({ PGPASSWORD: "geheim" }))
      .to.contain("to do: correct the password (it came from PGPASSWORD); guardian:database.passwordFrom")
      .and.not.contain("geheim");
    expect(await refused({ PGHOST: "nowhere.invalid" })).to.contain(
      "to do: correct PGHOST, or set guardian:database.h",
    );
    // No database is named: libpq's default is the user's name.
    await withEmpty(async (db) => {
      const login = { PGUSER: "guardian_migrator", PGPASSWORD: db.migrator.password };
      expect(await refused(login)).to.match(
        /^the database guardian_migrator does not exist .*\n.*\n {2}to do: set guardian:database.database in the stack's config, or PGDATABASE \(nothing names it yet\)\n/,
      );
    });
  });

  it("a role that may not log in is told from a line that pg_hba.conf lacks", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE ROLE locked_out PASSWORD 'geheim'");
      try {
        const message = await refusal(probeServer(settingsOf(on, { user: "locked_out" }, { PW: "geheim" })));
        expect(message).to.match(/^the role locked_out does not exist on this server, or may not log in/);
        expect(message).to.contain("guardian:database.user").and.not.contain("geheim");
      } finally {
        await admin.query("DROP ROLE locked_out");
      }
    }));

  it("a missing right to connect, and a read-only database", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`REVOKE CONNECT ON DATABASE ${db.name} FROM PUBLIC`);
      expect(await refusal(probeServer(settingsOf(db.migrator, { database: db.name })))).to.match(
        /^guardian_migrator may not connect to test_/,
      );
      await admin.query(`ALTER DATABASE ${db.name} SET default_transaction_read_only = on`);
      const message = await refusal(connectWriter(settingsOf(on, { database: db.name }), { detail: "x" }));
      expect(message).to.match(
        /^the database is in read-only mode \(default_transaction_read_only is on\) \[server-read-only\]\n/,
      );
    }));

  it("too many connections", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`ALTER DATABASE ${db.name} CONNECTION LIMIT 0`);
      expect(await refusal(probeServer(settingsOf(db.migrator, { database: db.name })))).to.match(
        /^the server has no free connection \(SQLSTATE 53300\) \[too-many-connections\]\n/,
      );
    }));

  it("a role that may not read which cluster it is", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
      expect(await refusal(probeServer(settingsOf(db.migrator, { database: db.name })))).to.match(
        /permission denied for function pg_control_system .*\n.*\n {2}to do: as a superuser: GRANT EXECUTE ON FUNCTION pg_ca/,
      );
    }));

  it("a server that is too old", async () => {
    const old = { major: 14, version: "14.9", inRecovery: false, readOnly: false };
    const client = { query: () => Promise.resolve({ rows: [old] }) } as unknown as Client;
    expect(await refusal(readServerInfo(client, settingsOf(on)))).to.match(
      /^the server is PostgreSQL 14.9; the migration needs 15 or later \[server-too-old\]\n/,
    );
  });

  it("a database in which no triggers and foreign keys fire, also where it became one since it was looked at", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      const settings = settingsOf(on, { database: db.name });
      await (await connectReader(settings, { detail: "x" })).close();
      await admin.query(`ALTER DATABASE ${db.name} SET session_replication_role = replica`);
      expect(await refusal(connectWriter(settings, { detail: "x" }))).to.match(
        /^session_replication_role is replica in this database.* be taken back \[triggers-off\]\n/,
      );
    }));

  it("a standby, also one that took the place of the primary since it was looked at", async () => {
    // A copy of a stopped cluster, started with standby.signal, is a standby that waits for its primary for ever.
    const folder = mkdtempSync(join(tmpdir(), "guardian-standby-"));
    chmodSync(folder, 0o755);
    give(serverAccount(), folder);
    const primary = await startServer({ major, dataDir: folder });
    const known = settingsOf(primary);
    await (await connectReader(known, { detail: "x" })).close();
    await primary.stop();
    writeFileSync(join(folder, "data", "standby.signal"), "");
    give(serverAccount(), join(folder, "data", "standby.signal"));
    const standby = await startServer({ major, dataDir: folder, port: primary.port });
    try {
      for (const ask of [() => probeServer(settingsOf(standby)), () => connectReader(known, { detail: "x" })])
        expect(await refusal(ask())).to.match(
          /^the server is a standby in recovery and takes no writes \[server-is-standby\]\n/,
        );
    } finally {
      await standby.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  const signs = [
    { size: 1, pick: "last", sign: "a second connection waits for the first one's transaction" },
    { size: 3, pick: "last", sign: "two connections share one server process" },
    { size: 3, pick: "first", sign: "its server process changed between statements" },
    { size: 3, pick: "own", sign: "a setting was lost between statements" },
  ] as const;
  for (const { size, pick, sign } of signs) {
    it(`a transaction pooler: ${sign}`, async () => {
      const { host, user, password } = on;
      const pooler = await startPooler({ host, port: on.port, user, password, database: "postgres" }, size, pick);
      try {
        const settings = settingsOf(on, { port: pooler.port });
        expect(await refusal(probeServer(settings, { patience: 0.5 }))).to.equal(
          `a connection pooler in transaction mode stands before the database: ${sign} [transaction-pooler]\n` +
            "  where: 127.0.0.1:PORT/postgres as postgres (host, port, database, user from guardian:database; password from the variable PW)\n" +
            "  to do: connect to the server's own port, usually 5432\n     or: switch the pool to session mode",
        );
        expect(pooler.lent()).to.be.greaterThan(1);
        if (size > 1) await refusal(connectReader(settings, { detail: "x" }));
      } finally {
        await pooler.stop();
      }
    });
  }
});
