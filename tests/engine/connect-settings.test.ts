import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { inspect } from "node:util";
import { expect } from "chai";
import { type DatabaseInput, resolveConnection, toClientEnv, toPgConfig } from "../../engine/connect";
import { useFolder } from "../support/folder";
import { refusedBy } from "../support/refused";

describe("connection settings", () => {
  const home = useFolder("guardian settings ");

  /** Writes a file into the home folder; returns its path. */
  function put(name: string, text: string, mode = 0o600): string {
    writeFileSync(home(name), text, { mode });
    chmodSync(home(name), mode);
    return home(name);
  }

  function resolve(input: DatabaseInput, env: Record<string, string> = {}) {
    return resolveConnection(input, { HOME: home(), ...env });
  }

  const refusal = (input: DatabaseInput, env: Record<string, string> = {}): string =>
    refusedBy(() => resolve(input, env)).message.replaceAll(home(), "~");

  it("falls back to libpq's defaults", () => {
    const { fields } = resolve({ host: "localhost" });
    expect(fields).to.include({ host: "localhost", port: 5432, user: userInfo().username, sslmode: "prefer" });
    expect(fields.database).to.equal(fields.user);
    expect(resolve({}, {}).fields.host).to.match(/^(localhost|\/.*)$/);
    const empty = { PGHOST: "", PGPORT: "", PGUSER: "", PGDATABASE: "", PGSSLMODE: "", PGCONNECT_TIMEOUT: "" };
    expect(resolve({}, empty).fields, "an empty variable is as good as none").to.deep.equal(resolve({}, {}).fields);
  });

  it("takes config before service file before environment, part by part", () => {
    put(
      ".pg_service.conf",
      "# x\n[other]\nhost=wrong\n[mine]\nhost=service\nport=6001\nuser=serviceuser\n[mine]\nhost=late\n",
    );
    const env = { PGSERVICE: "mine", PGHOST: "envhost", PGPORT: "7001", PGUSER: "envuser", PGDATABASE: "envdb" };
    const { fields, origins } = resolve({ host: "config" }, env);
    expect(fields).to.include({ host: "config", port: 6001, user: "serviceuser", database: "envdb" });
    expect(origins.get("host")).to.equal("guardian:database");
    expect(origins.get("port")).to.equal(`service "mine" in ${home(".pg_service.conf")}`);
    expect(origins.get("database")).to.equal("PGDATABASE");
  });

  it("looks for a service in PGSERVICEFILE or the home folder, then in PGSYSCONFDIR", () => {
    put("pg_service.conf", "[mine]\nport=6002\nhost=system\n");
    const env = { PGSERVICE: "mine", PGSYSCONFDIR: home() };
    expect(resolve({}, env).fields.port).to.equal(6002);
    const own = put("own", "[mine]\nhost=own\n");
    expect(resolve({}, { ...env, PGSERVICEFILE: own }).fields.host).to.equal("own");
    expect(resolve({}, { ...env, PGSERVICEFILE: put("none", "[x]\n") }).fields.host).to.equal("system");
  });

  it("refuses service files that libpq refuses, without quoting values", () => {
    expect(refusal({}, { PGSERVICE: "mine", PGSYSCONFDIR: home() })).to.match(
      /^no service file defines the service "mine"/,
    );
    expect(refusal({}, { PGSERVICE: "mine", PGSERVICEFILE: "/nowhere" })).to.match(
      /^the service file \/nowhere does not/,
    );
    const bad = (line: string) =>
      refusal({}, { PGSERVICE: "mine", PGSERVICEFILE: put("bad", `[mine]\npassword=geheim\n${line}\n`) });
    expect(bad("hots=x")).to.equal(
      `"hots" is no connection parameter of libpq, or blanks stand around its "=" [setting-invalid]\n` +
        "  where: ~/bad:3, section [mine]\n  to do: write keyword=value, one a line",
    );
    expect(bad("geheimes wort"))
      .to.match(/^the line is not of the form keyword=value \[setting-invalid\]\n/)
      .and.not.contain("geheim");
    expect(bad("service=other")).to.match(/^a service cannot name another service \[setting-invalid\]\n/);
    expect(bad("ldap://host/dc=x")).to.match(/^the service is looked up by LDAP/);
  });

  it("reads the password file as libpq does", () => {
    const lines = [
      "# comment:*:*:*:no",
      "h:5432:db:u2:never:ends\\:here",
      "h:5433:*:u:port",
      "we\\:ird\\\\:*:*:*:pass\\:word\\\\",
      "[::1]:*:*:*:no",
      "localhost:*:*:*:socket",
      "*:*:*:u:last",
      "*:*:*:u:tooLate",
    ];
    put(".pgpass", lines.join("\n"));
    const password = (input: DatabaseInput) =>
      resolve({ database: "db", user: "u", ...input })
        .password()
        ?.reveal();
    expect(password({ host: "h", user: "u2" })).to.equal("never");
    expect(password({ host: "h", port: 5433 })).to.equal("port");
    expect(password({ host: "we:ird\\" })).to.equal("pass:word\\");
    expect(password({ host: "/var/run/postgresql" })).to.equal("socket");
    expect(password({ host: "/elsewhere" })).to.equal("last");
    expect(password({ host: "h", user: "nobody" })).to.equal(undefined);
  });

  it("leaves a password file that others can read aside, and says so", () => {
    const file = put(".pgpass", "*:*:*:*:geheim", 0o640);
    const settings = resolve({ host: "h" });
    expect(settings.password()).to.equal(undefined);
    expect(settings.warnings).to.deep.equal([
      `password file ${file} can be read by others and was not used; mend: chmod 0600 ${file}`,
    ]);
  });

  it("takes passwordFrom before the service file, PGPASSWORD and the password file", () => {
    put(".pgpass", "*:*:*:*:four");
    put(".pg_service.conf", "[s]\npassword=two\n");
    const env = { PGSERVICE: "s", PGPASSWORD: "three", MINE: "one" };
    const password = (input: DatabaseInput, from: Record<string, string>) => resolve(input, from).password()?.reveal();
    expect(password({ passwordFrom: "env:MINE" }, env)).to.equal("one");
    expect(password({ passwordFrom: `file:${put("pw", "one more \n")}` }, env)).to.equal("one more ");
    expect(password({}, env)).to.equal("two");
    expect(password({}, { PGPASSWORD: "three" })).to.equal("three");
    expect(password({}, {})).to.equal("four");
  });

  it("refuses passwords that are not where they should be", () => {
    expect(refusal({ passwordFrom: "env:NONE" })).to.match(
      /^the variable NONE is not set \[password-missing\]\n {2}where: guardian:database/,
    );
    expect(refusal({ passwordFrom: "file:/nowhere" })).to.match(
      /^the password file \/nowhere cannot be read \(ENOENT\)/,
    );
    expect(refusal({ passwordFrom: `file:${put("empty", "\n")}` })).to.match(/^the password file ~\/empty is empty/);
    const message = refusal({ passwordFrom: "geheim" });
    expect(message).to.match(/^guardian:database.passwordFrom is neither/);
    expect(message).not.to.contain("geheim");
  });

  it("16-18 refuses a password file that is no plain file, never ends, or that others may read", () => {
    const from = (path: string): string => refusal({ passwordFrom: `file:${path}` });
    execFileSync("/bin/sh", ["-c", 'mkfifo "$1"', "sh", home("pipe")]);
    for (const path of [home("pipe"), home(), "/dev/zero"]) expect(from(path)).to.contain("is not a plain file");
    expect(from(put("long", "x".repeat(70_000)))).to.match(/has 70000 bytes, more than a password/);
    for (const mode of [0o644, 0o604, 0o660, 0o602]) {
      const said = from(put("open", "geheim", mode));
      expect(said, mode.toString(8)).to.match(
        /^the password file ~\/open can be read by others \(mode 0\d{3}\) and was/,
      );
      expect(said).to.contain("chmod 0600 ").and.contain("defaultMode: 0400").and.not.contain("geheim");
    }
    const root = process.getuid?.() === 0;
    const shared = put("shared", "x", 0o640);
    // As with keys: root's file may be read by one group.
    if (root)
      expect(
        resolve({ passwordFrom: `file:${shared}` })
          .password()
          ?.reveal(),
      ).to.equal("x");
    else expect(from(shared)).to.contain("can be read by others");
    expect(
      resolve({ passwordFrom: `file:${put("mounted", "x", 0o400)}` })
        .password()
        ?.reveal(),
    ).to.equal("x");
  });

  it("refuses values that are wrong, naming their source", () => {
    expect(refusal({ port: 0 })).to.equal(
      'port is "0"; expected a whole number from 1 to 65535 [setting-invalid]\n  where: guardian:database\n' +
        "  to do: set it to a whole number from 1 to 65535",
    );
    expect(refusal({}, { PGPORT: "5432,5433" })).to.match(/^port is "5432,5433".*\n {2}where: PGPORT/);
    expect(refusal({ host: "a,b" })).to.match(/^several hosts are given/);
    expect(refusal({ host: "@abstract" })).to.match(/^abstract unix-domain sockets/);
    expect(refusal({ sslmode: "no-verify" })).to.match(/^sslmode is "no-verify"; expected one of disable, allow/);
    expect(refusal({ sslmode: "require" }, { PGSSLROOTCERT: "system" })).to.match(/^sslmode require is too weak/);
    const url = refusal({ database: "postgres://u:geheim@h/db" });
    expect(url)
      .to.match(/^guardian:database.database is a connection string/)
      .and.not.contain("geheim");
    expect(refusal({ database: "host=h password=geheim" })).not.to.contain("geheim");
  });

  it("refuses what libpq would honour and pg cannot", () => {
    expect(refusal({}, { PGCHANNELBINDING: "require" })).to.match(
      /^the connection parameter channel_binding .*\n.*PGCHANN/,
    );
    for (const name of ["PGREQUIREPEER", "PGSSLCRLDIR"]) refusal({}, { [name]: "x" });
    refusal({}, { PGGSSENCMODE: "require" });
    for (const value of ["x", "md5,!none", "none,none"])
      expect(refusal({}, { PGREQUIREAUTH: value })).to.match(/^require_auth is ".*"; expected a list of password, md5/);
    resolve({}, { PGREQUIREAUTH: "!password,!md5" });
    refusal({}, { PGTARGETSESSIONATTRS: "standby" });
    resolve({}, { PGCHANNELBINDING: "prefer", PGGSSENCMODE: "disable", PGTARGETSESSIONATTRS: "read-write" });
  });

  it("keeps the password out of everything that is printed", () => {
    const settings = resolve({ host: "h" }, { PGPASSWORD: "geheim" });
    const config = toPgConfig(settings, false, "x");
    for (const thing of [
      settings,
      settings.password(),
      settings.withDatabase("b"),
      config,
      new Error("e", { cause: settings }),
    ]) {
      const shown = inspect(thing, { depth: 9, showHidden: true }) + JSON.stringify(thing);
      expect(shown).not.to.contain("geheim");
    }
    expect(String(settings.password())).to.equal("[secret]");
    expect(settings.explain()).to.equal(
      `h:5432/${userInfo().username} as ${userInfo().username} ` +
        "(host from guardian:database; port, database, user from libpq's default; password from PGPASSWORD)",
    );
    expect(settings.withDatabase("b").password()?.reveal()).to.equal("geheim");
  });

  it("hands clients the same values, and nothing of the caller's PG* or secrets", () => {
    put(
      ".pg_service.conf",
      "[s]\nhost=service\nhostaddr=10.0.0.1\ndbname=db\nuser=u\npassword=p\noptions=-c work_mem=1MB\n",
    );
    const base = {
      HOME: home(),
      PATH: "/bin",
      PGSERVICE: "s",
      PGHOST: "env",
      PGTZ: "x",
      PULUMI_CONFIG_PASSPHRASE: "geheim",
    };
    const settings = resolveConnection({ port: 6000, sslmode: "disable" }, base);
    expect(toClientEnv(settings, "backup", base)).to.deep.equal({
      HOME: home(),
      PATH: "/bin",
      PGHOST: "service",
      PGHOSTADDR: "10.0.0.1",
      PGPORT: "6000",
      PGDATABASE: "db",
      PGUSER: "u",
      PGPASSWORD: "p",
      PGSSLMODE: "disable",
      PGSSLROOTCERT: home(".postgresql/root.crt"),
      PGSSLCERT: home(".postgresql/postgresql.crt"),
      PGSSLKEY: home(".postgresql/postgresql.key"),
      PGSSLCRL: home(".postgresql/root.crl"),
      PGSSLMINPROTOCOLVERSION: "TLSv1.2",
      PGOPTIONS: "-c work_mem=1MB",
      PGCONNECT_TIMEOUT: "15",
      PGGSSENCMODE: "disable",
      PGTZ: "UTC",
      PGAPPNAME: "guardian-migration backup",
      LC_ALL: "C",
    });
    expect(toPgConfig(settings, false, "é".repeat(80))).to.include({
      host: "10.0.0.1",
      port: 6000,
      application_name: "?".repeat(63),
      options: "-c work_mem=1MB",
    });
  });
});
