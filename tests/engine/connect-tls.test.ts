import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type DatabaseInput, openClient, resolveConnection, toClientEnv } from "../../engine/connect";
import { discard } from "../../engine/connect/open";
import { GuardianError } from "../../engine/base/errors";
import { give, serverAccount } from "../../engine/server/account";
import { startServer, type Server } from "../../engine/server/server";
import { major, server as plainServer } from "../support/postgres";
import { skip } from "../support/skip";

/** The host part of pg_hba.conf decides by TLS for these roles; all others get in both ways. */
const hba = `
hostnossl all tls_only all reject
hostssl all plain_only all reject
hostssl all cert_user all cert
host all all all scram-sha-256
`;

describe("sslmode, as libpq means it", function () {
  this.timeout(60_000);
  let folder: string;
  let home: string;
  let secured: Server;
  let plain: Server;

  function openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  }

  /** A certificate `name`.crt with key, signed by ca.crt; the server's is for the host name localhost only. */
  function certificate(name: string, subject: string, extension: string): void {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`];
    openssl("req", ...key, "-subj", subject, "-out", `${name}.csr`);
    writeFileSync(join(folder, `${name}.ext`), extension);
    const signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", `${name}.ext`];
    openssl("x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}.crt`);
  }

  before(async function () {
    if (spawnSync("openssl", ["version"]).status !== 0) skip(this, "no openssl on PATH");
    folder = mkdtempSync(join(tmpdir(), "guardian-tls-"));
    home = join(folder, "home");
    mkdirSync(home);
    chmodSync(folder, 0o755);
    for (const name of ["ca", "other"]) {
      const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`];
      openssl("req", "-x509", ...key, "-subj", `/CN=${name}`, "-days", "2", "-out", `${name}.crt`);
    }
    certificate("server", "/CN=localhost", "subjectAltName=DNS:localhost");
    certificate("client", "/CN=cert_user", "extendedKeyUsage=clientAuth");
    give(serverAccount(), join(folder, "server.key"));
    const path = (name: string) => join(folder, name);
    secured = await startServer({
      major,
      settings: {
        ssl: "on",
        ssl_cert_file: path("server.crt"),
        ssl_key_file: path("server.key"),
        ssl_ca_file: path("ca.crt"),
        listen_addresses: "localhost",
      },
    });
    plain = await plainServer();
    const admin = await openClient(resolve(), "test");
    for (const role of ["tls_only", "plain_only", "cert_user"]) {
      await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${secured.password}'`);
    }
    writeFileSync(join(secured.folder, "data", "pg_hba.conf"), hba);
    await admin.query("SELECT pg_reload_conf()");
    await discard(admin);
  });

  after(async () => {
    // Undefined where the suite was skipped.
    await (secured as Server | undefined)?.stop();
    if (folder) rmSync(folder, { recursive: true });
  });

  function resolve(input: DatabaseInput = {}, env: Record<string, string> = {}, on = secured) {
    const where = { host: "127.0.0.1", port: on.port, user: "postgres", database: "postgres" };
    return resolveConnection({ ...where, ...input }, { HOME: home, PGPASSWORD: on.password, ...env });
  }

  /** "tls", "plain", or the first line of the refusal; psql, given the same settings, must fare alike. */
  async function outcome(input: DatabaseInput, env: Record<string, string> = {}, on = secured): Promise<string> {
    const settings = resolve(input, env, on);
    const ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    const psql = spawnSync("psql", ["-XAtqc", ssl], { env: toClientEnv(settings, "psql"), encoding: "utf8" });
    const theirs = psql.error
      ? undefined
      : psql.status !== 0
        ? "refused"
        : psql.stdout.trim() === "t"
          ? "tls"
          : "plain";
    let ours: string;
    try {
      const client = await openClient(settings, "test");
      const { rows } = await client.query<{ ssl: boolean }>(ssl);
      ours = rows[0]?.ssl ? "tls" : "plain";
      await discard(client);
    } catch (err) {
      if (!(err instanceof GuardianError)) throw err;
      expect(err.message).not.to.contain(on.password);
      ours = err.what;
    }
    if (theirs) expect(/^(tls|plain)$/.test(ours) ? ours : "refused", "pg and psql differ").to.equal(theirs);
    return ours;
  }

  const authority = (name = "ca") => ({ PGSSLROOTCERT: join(folder, `${name}.crt`) });
  const unknown = "the server's certificate is not signed by an authority that is trusted here";

  it("disable never encrypts, allow does where it must, prefer where it can", async () => {
    expect(await outcome({ sslmode: "disable" })).to.equal("plain");
    expect(await outcome({ sslmode: "allow" })).to.equal("plain");
    expect(await outcome({ sslmode: "prefer" })).to.equal("tls");
    expect(await outcome({ sslmode: "allow", user: "tls_only" })).to.equal("tls");
    expect(await outcome({ sslmode: "prefer", user: "plain_only" })).to.equal("plain");
    expect(await outcome({ sslmode: "disable", user: "tls_only" })).to.match(/^the server does not let tls_only in/);
    expect(await outcome({ sslmode: "require", user: "plain_only" })).to.match(
      /^the server does not let plain_only in/,
    );
  });

  it("prefer falls back to plain if the chain does not verify", async () => {
    expect(await outcome({ sslmode: "prefer" }, authority())).to.equal("tls");
    expect(await outcome({ sslmode: "prefer" }, authority("other"))).to.equal("plain");
  });

  it("require encrypts unverified, unless the authority's file exists", async () => {
    expect(await outcome({ sslmode: "require" })).to.equal("tls");
    expect(await outcome({ sslmode: "require" }, authority())).to.equal("tls");
    expect(await outcome({ sslmode: "require" }, authority("other"))).to.equal(unknown);
    mkdirSync(join(home, ".postgresql"));
    writeFileSync(join(home, ".postgresql", "root.crt"), readFileSync(join(folder, "other.crt")));
    expect(await outcome({ sslmode: "require" })).to.equal(unknown);
    rmSync(join(home, ".postgresql"), { recursive: true });
  });

  it("verify-ca checks the chain and not the host name", async () => {
    expect(await outcome({ sslmode: "verify-ca" }, authority())).to.equal("tls");
    expect(await outcome({ sslmode: "verify-ca" }, authority("other"))).to.equal(unknown);
    const missing = `sslmode verify-ca needs the certificate authority's file, and ${home}/.postgresql/root.crt does not exist`;
    expect(await outcome({ sslmode: "verify-ca" })).to.equal(missing);
  });

  it("verify-full checks the host name too", async () => {
    expect(await outcome({ sslmode: "verify-full", host: "localhost" }, authority())).to.equal("tls");
    expect(await outcome({ sslmode: "verify-full" }, authority())).to.equal(
      "the server's certificate is not for the host 127.0.0.1",
    );
    const byAddress = { ...authority(), PGHOSTADDR: "127.0.0.1" };
    expect(await outcome({ sslmode: "verify-full", host: "localhost" }, byAddress)).to.equal("tls");
    expect(await outcome({ sslmode: "verify-full", host: "db.example" }, byAddress)).to.match(
      /not for the host db.example$/,
    );
  });

  it("a server without TLS serves prefer and refuses require", async () => {
    expect(await outcome({ sslmode: "prefer" }, {}, plain)).to.equal("plain");
    const refused = "the server does not offer TLS, which sslmode require demands";
    expect(await outcome({ sslmode: "require" }, {}, plain)).to.equal(refused);
  });

  it("presents the client's certificate, whose key must be private", async () => {
    const env = { PGSSLCERT: join(folder, "client.crt"), PGSSLKEY: join(folder, "client.key"), PGPASSWORD: "" };
    expect(await outcome({ sslmode: "require", user: "cert_user" }, env)).to.equal("tls");
    chmodSync(env.PGSSLKEY, 0o644);
    expect(await outcome({ sslmode: "require", user: "cert_user" }, env)).to.match(/client.key can be read by others$/);
    expect(await outcome({ sslmode: "require", user: "cert_user" }, { ...env, PGSSLKEY: "/nowhere" })).to.match(
      /exists, its private key \/nowhere does not$/,
    );
  });
});
