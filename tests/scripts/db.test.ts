import { expect } from "chai";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Client } from "pg";
import { main } from "../../scripts/db";
import type { DevStatus } from "../../scripts/postgres/dev";
import { freePort } from "../../engine/server/launch";
import { alive } from "../../engine/base/process";
import { long } from "../support/long";
import { skip } from "../support/skip";

/** A clone of the test's own, with the command in it; the server is stopped and all is removed at the end. */
async function withClone(work: (db: Db, clone: string) => Promise<void>, mode = 0o755): Promise<void> {
  const clone = mkdtempSync(join(tmpdir(), "a clone "));
  chmodSync(clone, mode);
  const db: Db = async (...args) => {
    const [said, printed]: [string[], string[]] = [[], []];
    const code = await main(args, { clone, say: (line) => said.push(line), print: (line) => printed.push(line) });
    return { code, said: said.join("\n"), printed };
  };
  try {
    await work(db, clone);
  } finally {
    const { printed } = await db("status", "--json");
    const { folder } = JSON.parse(printed[0] ?? "{}") as DevStatus;
    await db("stop");
    if (folder) rmSync(folder, { recursive: true, force: true });
    rmSync(clone, { recursive: true, force: true });
  }
}
type Db = (...args: string[]) => Promise<{ code: number; said: string; printed: string[] }>;

describe("npm run db", function () {
  this.timeout(300_000);

  it("starts once, remembers, says which port the stack's file has, stops itself alone, starts with the same data, resets", async () => {
    await withClone(async (db, clone) => {
      const port = String(await freePort());
      const expects = (other: number): string =>
        `the dev stack expects port ${other}: npm run pulumi -- config set --path guardian:database.port ${port}`;
      const configure = (value: unknown): void =>
        writeFileSync(join(clone, "Pulumi.dev.yaml"), JSON.stringify({ config: { "guardian:database": value } }));
      configure({ host: "127.0.0.1", port: 50001 });
      expect(await db("status")).to.deep.include({ code: 3 });
      const first = await db("start", "--port", port, "--users", "100", "--major", "15", "--json");
      expect(first.code).to.equal(0);
      const at = JSON.parse(first.printed[0]!) as Required<DevStatus>;
      const home = join(clone, ".guardian", "db");
      expect(at).to.deep.include({
        state: "running",
        port: Number(port),
        major: 15,
        users: 100,
        user: "guardian_migrator",
      });
      expect(at).to.include({ passwordFile: join(home, "password"), serviceFile: join(home, "service.conf") });
      const password = readFileSync(at.passwordFile, "utf8");
      expect(first.said + first.printed.join()).not.to.contain(password);
      for (const file of ["password", "passfile", "service.conf", "server.json"]) {
        expect(statSync(join(home, file)).mode & 0o777, file).to.equal(0o600);
      }
      const again = await db("start");
      expect(again).to.include({ code: 0 });
      expect(again.said).to.contain(`already running on port ${port}, process ${at.pid}`).and.contain(expects(50001));
      configure(JSON.stringify({ port: 50002 }));
      expect((await db("status")).said).to.contain(expects(50002));
      configure({ port: Number(port) });
      expect((await db("status")).said).to.not.contain("the dev stack expects");
      expect((await db("start", "--users", "5")).said).to.match(/there already, with 100 users[^]*reset/);

      const client = new Client({ ...at, password });
      await client.connect();
      await client.query("CREATE TABLE mine ()");
      await client.end();
      expect(await db("stop")).to.include({ code: 0, said: "stopped" });
      expect(alive(at.pid)).to.equal(false);
      expect(await db("stop")).to.include({ code: 0, said: "it was not running" });
      expect((await db("status")).code).to.equal(3);
      // A process that only inherited the server's number.
      const noted = join(home, "server", "data", "postmaster.pid");
      writeFileSync(noted, `${process.pid}\n${dirname(noted)}\n`);
      expect((await db("status")).code).to.equal(3);
      expect((await db("stop")).said).to.equal("it was not running");
      rmSync(noted);
      expect((await db("start", "--json")).printed[0]).to.contain(`"port":${port},`);
      const mine = async () => {
        const second = new Client({ ...at, password: readFileSync(at.passwordFile, "utf8") });
        await second.connect();
        const { rows } = await second.query<{ t: string | null }>("SELECT to_regclass('public.mine') AS t");
        await second.end();
        return rows[0]!.t;
      };
      expect(await mine()).to.equal("mine");
      const stacks = join(clone, ".guardian", "state", ".pulumi", "stacks", "guardian");
      mkdirSync(stacks, { recursive: true });
      writeFileSync(join(stacks, "dev.json"), "{}");
      const reset = await db("reset", "--users", "10", "--major", "17", "--json");
      expect(reset.printed[0]).to.contain(`"users":10,`);
      expect(reset.said).to.contain("npm run pulumi -- stack rm dev --force --preserve-config");
      expect(await mine()).to.equal(null);
    });
  });

  long("loads v6 anew when the first loading was cut off", async () => {
    await withClone(async (db, clone) => {
      const port = String(await freePort());
      await db("start", "--port", port, "--users", "10", "--major", "15");
      await db("stop");
      const note = join(clone, ".guardian", "db", "server.json");
      const { users, ...cut } = JSON.parse(readFileSync(note, "utf8")) as { users: number };
      expect(users).to.equal(10);
      writeFileSync(note, JSON.stringify(cut));
      expect((await db("start", "--users", "20", "--json")).printed[0]).to.contain(`"users":20,`);
      writeFileSync(note, JSON.stringify(cut)); // and when the server still runs
      expect((await db("start", "--users", "30", "--json")).printed[0]).to.contain(`"users":30,`);
    });
  });

  long(
    "puts the data elsewhere, and says so, when the server's user cannot get into the clone",
    async function (this: Mocha.Context) {
      if (process.getuid?.() !== 0) skip(this, "it takes root, who lends the server to another user");
      await withClone(async (db, clone) => {
        const { code, said, printed } = await db(
          "start",
          "--port",
          String(await freePort()),
          "--users",
          "10",
          "--json",
        );
        expect(code, said).to.equal(0);
        const { folder } = JSON.parse(printed[0]!) as Required<DevStatus>;
        expect(folder).to.match(/^\/var\/tmp\/guardian-postgres-0\/db-[0-9a-f]{12}$/);
        expect(said).to.contain(`cannot get into ${join(clone, ".guardian", "db")}; the data is in ${folder}`);
        expect((await db("status")).code).to.equal(0);
        const reset = await db("reset", "--users", "10");
        expect(reset.said, "there is no stack's state").to.not.contain("stack rm");
      }, 0o700);
    },
  );

  it("refuses a port that is taken, and a second command at the same time", async () => {
    const other = createServer();
    const port = await freePort();
    await new Promise<void>((done) => other.listen(port, "127.0.0.1", done));
    await withClone(async (db, clone) => {
      const { code, said } = await db("start", "--port", String(port), "--major", "15");
      expect({ code, said }).to.deep.include({ code: 1 });
      expect(said).to.match(new RegExp(`Port ${port} is taken by another program[^]*--port N`));
      const lock = join(clone, ".guardian", "db", "lock");
      writeFileSync(lock, String(process.ppid));
      expect((await db("start")).said).to.contain(
        `Another \`npm run db\` is at work on this clone [command-running]\n  where: process ${process.ppid}`,
      );
      writeFileSync(lock, "999999999"); // its process is gone
      expect((await db("stop")).code).to.equal(0);
      expect(existsSync(lock)).to.equal(false);
    });
    await new Promise((done) => other.close(done));
  });

  it("tells another user whose database it is", async function () {
    if (process.getuid?.() !== 0) skip(this, "it takes root, who can be another user for a moment");
    await withClone(async (db, clone) => {
      const home = join(clone, ".guardian", "db");
      mkdirSync(home, { recursive: true, mode: 0o711 });
      writeFileSync(join(home, "server.json"), "{}", { mode: 0o600 });
      for (const command of ["start", "status", "stop", "reset"]) {
        process.seteuid?.(65534);
        const { code, said } = await db(command).finally(() => process.seteuid?.(0));
        expect(code, command).to.equal(1);
        expect(said, command).to.match(
          /^this clone's database belongs to user root, and \w+ may not use its files \[server-of-another-user\]\n {2}where: .*\.guardian.* \(EACCES\)\n {2}to do: run this as user root\n/,
        );
      }
      rmSync(join(home, "server.json"));
    });
  });

  it("refuses wrong use with exit code 2 and points to --help", async () => {
    await withClone(async (db) => {
      for (const args of [
        [],
        ["go"],
        ["start", "--usres", "3"],
        ["start", "--users", "-1"],
        ["start", "--users", "many"],
        ["start", "--port", "80"],
        ["start", "--major", "19"],
        ["stop", "--users", "3"],
        ["start", "stop"],
        ["start", "--port"],
      ]) {
        const { code, said } = await db(...args);
        expect(code, args.join(" ")).to.equal(2);
        expect(said, args.join(" ")).to.match(/--help/);
      }
      const { code, printed } = await db("--help");
      expect(code).to.equal(0);
      expect(printed[0]).to.match(/^npm run db -- COMMAND/);
    });
  });
});
