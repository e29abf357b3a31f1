import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Client } from "pg";
import { startServer, type Server } from "../../../engine/server/server";
import { major, type Login } from "../../support/postgres";
import { until, withThrottle } from "./throttle-harness";
import { long } from "../../support/long";

/** A standby as the server sees one: takes WAL and answers what it has replayed (manual, Streaming Replication Protocol). */
class Standby {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async follow(login: Login, from: string): Promise<Standby> {
    const client = new Client({ ...login, replication: "true" } as never);
    client.on("error", () => undefined);
    await client.connect();
    const copying = new Promise((resolve) => client.connection.once("replicationStart", resolve));
    client.query(`START_REPLICATION PHYSICAL ${from}`).catch(() => undefined);
    await copying;
    return new Standby(client);
  }

  /** Standby status update: written, flushed and applied up to `lsn`. */
  replayed(lsn: string): void {
    const [high = "0", low = "0"] = lsn.split("/");
    const message = Buffer.alloc(1 + 4 + 34);
    message.write("d");
    message.writeInt32BE(4 + 34, 1);
    message.write("r", 5);
    const position = BigInt(`0x${high}`) * 2n ** 32n + BigInt(`0x${low}`);
    for (const at of [6, 14, 22]) message.writeBigUInt64BE(position, at);
    this.#client.connection.stream.write(message);
  }

  leave(): void {
    this.#client.connection.stream.destroy();
  }
}

describe("throttle and the WAL of PostgreSQL", function () {
  this.timeout(180_000);
  // What else runs on the machine is felt as well: that is what it is made for.
  this.retries(2);
  let server: Server;
  let admin: Client;
  let login: Login;
  let poor: Login;
  const lsn = async () => (await admin.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn() AS lsn")).rows[0]!.lsn;
  /** About `mebibytes` of WAL, on disk. */
  const write = async (mebibytes: number) => {
    for (let i = 0; i < mebibytes; i++)
      await admin.query("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1048576))");
    await admin.query(
      "SET synchronous_commit = on; CREATE TABLE IF NOT EXISTS public.flushed (); DROP TABLE public.flushed",
    );
  };
  const archiveBy = async (command: string) => {
    await admin.query(`ALTER SYSTEM SET archive_command = '${command}'`);
    await admin.query("SELECT pg_reload_conf()");
  };

  before(async function () {
    this.timeout(180_000);
    server = await startServer({ major, settings: { archive_mode: "on" } });
    const { host, port, user, password } = server;
    login = { host, port, user, password, database: "postgres" };
    poor = { ...login, user: "poor", password: "poor" };
    admin = new Client(login);
    await admin.connect();
    await admin.query("CREATE ROLE poor LOGIN PASSWORD 'poor'; CREATE TABLE public.t (id int)");
    await archiveBy("true");
  });
  after(async () => {
    await admin.end();
    await server.stop();
  });

  it("stands still while a standby is behind, in bytes or in time", async () => {
    const standby = await Standby.follow(login, await lsn());
    try {
      standby.replayed(await lsn());
      const limits = { lagBytes: 1024 * 1024, lagSeconds: 0.4 };
      await withThrottle(login, { limits }, async (throttle) => {
        await until(throttle, () => throttle.reason === undefined);
        await write(3);
        await until(throttle, () => throttle.speed === 0);
        expect(throttle.reason).to.match(/^replication lag [\d.]+ MiB \(at most 1 MiB\)$/);
        await sleep(500);
        // What it says now it has had for half a second: the server takes that for its lag in time.
        standby.replayed(await lsn());
        await until(throttle, () => throttle.reason?.includes(" s (") ?? false);
        expect(throttle.speed).to.equal(0);
        expect(throttle.reason).to.match(/^replication lag [\d.]+ s \(at most 0\.4 s\)$/);
        // All replayed, and said twice: the server takes the lag for none (manual, pg_stat_replication.replay_lag).
        const caughtUp = setInterval(() => void lsn().then((at) => standby.replayed(at)), 100);
        try {
          await until(throttle, () => throttle.speed > 0);
        } finally {
          clearInterval(caughtUp);
        }
        expect(throttle.unavailable()).to.deep.equal([]);
      });
    } finally {
      standby.leave();
    }
  });

  it("says to a role with few rights that replication is not watched, and works", async () => {
    const standby = await Standby.follow(login, await lsn());
    try {
      await withThrottle(poor, { limits: { lagBytes: 1024 * 1024 } }, async (throttle) => {
        await write(3);
        await sleep(600); // it has looked by then
        await until(throttle, () => throttle.speed === 1);
        expect(throttle.unavailable()).to.deep.equal([
          "replication lag is not watched: its numbers are shown to members of pg_monitor",
          "the WAL archive's queue is not counted, only its failures: members of pg_monitor may count it",
        ]);
      });
    } finally {
      standby.leave();
    }
  });

  long("stands still while the WAL archive's queue is long, or the archive fails", async () => {
    await withThrottle(login, { limits: { archiveFiles: 2 } }, async (rich) => {
      await withThrottle(poor, {}, async (throttle) => {
        await until(throttle, () => rich.speed === 1 && throttle.speed === 1);
        await archiveBy("false");
        for (let i = 0; i < 4; i++) {
          await admin.query("SELECT pg_logical_emit_message(true, 'test', '')");
          await admin.query("SELECT pg_switch_wal()");
        }
        await until(rich, () => rich.speed === 0);
        expect(rich.reason).to.match(/^[34] WAL files wait to be archived \(at most 2\)$/);
        await until(throttle, () => throttle.speed === 0);
        expect(throttle.reason).to.equal("archiving WAL fails (pg_stat_archiver)");
        await archiveBy("true");
        await until(rich, () => rich.speed > 0);
        await until(throttle, () => throttle.speed > 0);
      });
    });
  });
});
