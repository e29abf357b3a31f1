import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { DatabaseError, type Client } from "pg";
import {
  ConnectionLostError,
  connectReader,
  connectWriter,
  count,
  type Reader,
  type Reading,
  Writer,
} from "../../engine/connect";
import { GuardianError } from "../../engine/base/errors";
import { settingsOf } from "../../scripts/v6/operator";
import { major, withEmpty, type V6 } from "../support/postgres";
import { until } from "../support/processes";
import { lastly } from "../support/lastly";

async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (err) {
    if (err instanceof Error) return err;
  }
  throw new Error("did not fail");
}

/** Waits until some session of this database sleeps in the server. */
async function asleep(admin: Client): Promise<void> {
  const text = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
  await until("somebody sleeps", async () => (await admin.query(text)).rowCount === 1);
}

async function withWriter(db: V6, test: (writer: Writer) => Promise<void>, signal?: AbortSignal): Promise<void> {
  const writer = await connectWriter(settingsOf(db.admin), { detail: "test", ...(signal ? { signal } : {}) });
  await lastly(test(writer), () => writer.close());
}

async function withReader(db: V6, test: (reader: Reader) => Promise<void>): Promise<void> {
  const reader = await connectReader(settingsOf(db.admin), { detail: "test" });
  await lastly(test(reader), () => reader.close());
}

describe("sessions", function () {
  this.timeout(120_000);

  it("has known settings, whatever the database says", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      const hostile = {
        search_path: "public",
        statement_timeout: "1ms",
        lock_timeout: "1ms",
        idle_session_timeout: "1ms",
        idle_in_transaction_session_timeout: "1ms",
        DateStyle: "German",
        TimeZone: "Asia/Tokyo",
        jit: "on",
        synchronous_commit: "off",
        ...(major >= 17 ? { transaction_timeout: "1s" } : {}),
      };
      for (const [name, value] of Object.entries(hostile)) {
        await admin.query(`ALTER DATABASE ${db.name} SET ${name} = '${value}'`);
      }
      // Before they are known, a millisecond is too short for the set-up itself: statement_timeout is left aside.
      await admin.query(`ALTER DATABASE ${db.name} RESET statement_timeout`);
      await admin.query(`ALTER DATABASE ${db.name} SET statement_timeout = '2s'`);
      await admin.query(`ALTER DATABASE ${db.name} RESET idle_session_timeout`);
      await withWriter(db, async (writer) => {
        const names = [
          ...Object.keys(hostile),
          "client_connection_check_interval",
          "tcp_keepalives_idle",
          "application_name",
        ];
        const { rows } = await writer.query<{ name: string; value: string }>(
          "SELECT n AS name, current_setting(n) AS value FROM unnest($1::text[]) AS n",
          [names],
        );
        expect(Object.fromEntries(rows.map((row) => [row.name, row.value]))).to.deep.equal({
          search_path: "pg_catalog, pg_temp",
          statement_timeout: "0",
          lock_timeout: "1min",
          idle_session_timeout: "0",
          idle_in_transaction_session_timeout: "1min",
          DateStyle: "ISO, YMD",
          TimeZone: "UTC",
          jit: "off",
          synchronous_commit: "on",
          client_connection_check_interval: "2s",
          tcp_keepalives_idle: "30",
          application_name: "guardian-migration test",
          ...(major >= 17 ? { transaction_timeout: "0" } : {}),
        });
        const me = await writer.query(
          "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        );
        expect(me.rows).to.deep.equal([{ pid: writer.pid, backend_start: writer.backendStart }]);
      });
      // More than the server's own disk, or as much, is the operator's own choice.
      await admin.query(`ALTER DATABASE ${db.name} SET synchronous_commit = 'remote_apply'`);
      await withWriter(db, async (writer) => {
        const { rows } = await writer.query("SELECT current_setting('synchronous_commit') AS value");
        expect(rows).to.deep.equal([{ value: "remote_apply" }]);
      });
    }));

  it("keeps microseconds and large integers", () =>
    withEmpty((db) =>
      withReader(db, async (reader) => {
        const text = `SELECT '2026-01-02 03:04:05.123456+00'::timestamptz AS at, ARRAY['2026-01-02'::date] AS days,
                               9007199254740993 AS big, count(*) AS n FROM pg_class WHERE false`;
        const { rows } = await reader.read((reading) => reading.query(text));
        expect(rows).to.deep.equal([
          { at: "2026-01-02 03:04:05.123456+00", days: "{2026-01-02}", big: "9007199254740993", n: "0" },
        ]);
        expect(count(rows[0]?.["n"])).to.equal(0);
        for (const wrong of ["9007199254740993", "", null, "1.5", 1n]) expect(() => count(wrong)).to.throw(RangeError);
      }),
    ));

  it("a Reader cannot write", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE TABLE t (i int); CREATE SEQUENCE s");
      await withReader(db, async (reader) => {
        const script = (text: string) => failure(reader.read((reading) => reading.script(text)));
        const query = (text: string) => failure(reader.read((reading) => reading.query(text)));
        const readOnly = /read-only transaction|must be set before any query/;
        for (const text of [
          "INSERT INTO public.t VALUES (1)",
          "CREATE TABLE public.u ()",
          "SELECT nextval('public.s')",
          "SELECT setval('public.s', 9)",
          // PostgreSQL 15 lets large objects be made in a read-only transaction.
          ...(major > 15 ? ["SELECT lo_create(0)"] : []),
          "SET TRANSACTION READ WRITE",
          "SELECT set_config('transaction_read_only', 'off', false)",
        ]) {
          expect((await query(text)).message, text).to.match(readOnly);
        }
        expect((await script("COMMIT; INSERT INTO public.t VALUES (1)")).message).to.match(readOnly);
        expect((await query("COMMIT")).message).to.match(
          /^a statement ended the read-only transaction it ran in \[transaction-broken\]\n/,
        );
        expect((await script("ROLLBACK")).message).to.match(/^a statement ended the read-only/);
        expect((await query("SELECT 1; SELECT 2")).message).to.match(/cannot insert multiple commands/);
        const kept = await reader.read((reading) => Promise.resolve(reading));
        expect((await failure(kept.query("SELECT 1"))).message).to.match(/has ended/);
      });
      expect((await admin.query("SELECT count(*) FROM t")).rows).to.deep.equal([{ count: "0" }]);
    }));

  it("a Reader sees one snapshot, and goes on after an error", () =>
    withEmpty(async (db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE TABLE t (i int)");
      await withReader(db, async (reader) => {
        const text = "SELECT count(*)::int AS n FROM public.t";
        const seen = await reader.read(async (reading) => {
          const before = (await reading.query<{ n: number }>(text)).rows[0]?.n;
          await admin.query("INSERT INTO t VALUES (1)");
          return [before, (await reading.query<{ n: number }>(text)).rows[0]?.n];
        });
        expect(seen).to.deep.equal([0, 0]);
        expect(await failure(reader.read((reading) => reading.query("SELECT 1/0")))).to.be.instanceOf(DatabaseError);
        const nested = reader.read(() => reader.read(() => Promise.resolve()));
        expect((await failure(nested)).message).to.match(/one read at a time/);
        expect((await reader.read((reading) => reading.query<{ n: number }>(text))).rows[0]?.n).to.equal(1);
      });
    }));

  it("a Writer commits or rolls back", () =>
    withEmpty((db) =>
      withWriter(db, async (writer) => {
        await writer.script("CREATE TABLE public.t (i int); CREATE TABLE public.u ()");
        const rows = async () => (await writer.query("SELECT i FROM public.t ORDER BY i")).rows;
        expect(
          await writer.transaction(() => writer.query("INSERT INTO public.t VALUES (1)").then(() => "x")),
        ).to.equal("x");
        const insert = (i: number) => writer.query("INSERT INTO public.t VALUES ($1)", [i]);
        const thrown = writer.transaction(async () => {
          await insert(2);
          throw new Error("mine");
        });
        expect((await failure(thrown)).message).to.equal("mine");
        const passedOver = writer.transaction(async () => {
          await insert(3);
          await writer.query("SELECT 1/0").catch(() => undefined);
        });
        expect((await failure(passedOver)).message).to.match(
          /^a statement of the transaction failed and its error was passed/,
        );
        const unheard = writer.transaction(async () => {
          // Its answer has not been read to the end when the callback returns.
          await writer.query("SELECT 1/0").catch(() => undefined);
          return Promise.resolve();
        });
        expect((await failure(unheard)).message).to.match(/^a statement of the transaction failed/);
        const ended = writer.transaction(() => writer.script("COMMIT"));
        expect((await failure(ended)).message).to.match(
          /^a statement ended the transaction it ran in \[transaction-broken\]\n/,
        );
        const nested = writer.transaction(() => writer.transaction(() => Promise.resolve()));
        expect((await failure(nested)).message).to.match(/a transaction is open/);
        await Promise.all([writer.transaction(() => insert(4)), sleep(1)]);
        expect(await rows()).to.deep.equal([{ i: 1 }, { i: 4 }]);
      }),
    ));

  it("a deferred constraint that fails at COMMIT is the server's error, not a lost connection", () =>
    withEmpty((db) =>
      withWriter(db, async (writer) => {
        await writer.script("CREATE TABLE public.t (i int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
        const twice = writer.transaction(() => writer.query("INSERT INTO public.t VALUES (1), (1)"));
        const err = await failure(twice);
        expect(err).to.be.instanceOf(DatabaseError).and.include({ code: "23505" });
        expect((await writer.query("SELECT 1 AS one")).rows).to.deep.equal([{ one: 1 }]);
      }),
    ));

  it("says that the connection is lost, and the process lives on", () =>
    withEmpty((db) =>
      withWriter(db, async (writer) => {
        const admin = await db.connect("admin");
        const kill = (pid: number) => admin.query("SELECT pg_terminate_backend($1, 5000)", [pid]);
        const told = new Promise<void>((done) => writer.client.once("end", done));
        await kill(writer.pid);
        await told;
        const idle = await failure(writer.query("SELECT 1"));
        expect(idle).to.be.instanceOf(ConnectionLostError);
        expect(idle.message).to.match(
          /^the connection to the database was lost: its session was terminated by an administrator, .* \(SQLSTATE 57P01\) \[connection-lost\]\n/,
        );
        const other = await connectWriter(settingsOf(db.admin), { detail: "second" });
        const busy = failure(other.transaction(() => other.query("SELECT pg_sleep(600)")));
        await asleep(admin);
        await kill(other.pid);
        expect(await busy).to.be.instanceOf(ConnectionLostError);
        await other.close();
      }),
    ));

  it("ends a transaction that sits idle too long", () =>
    withEmpty(async (db) => {
      const writer = await connectWriter(settingsOf(db.admin), { detail: "idle", idleInTransaction: 1 });
      const err = await failure(writer.transaction(() => sleep(1500)));
      expect(err.message).to.match(
        /^the connection to the database was lost: idle_in_transaction_session_timeout ended it/,
      );
      await writer.close();
    }));

  it("an abort cancels the statement, rolls back and lets no other start", () =>
    withEmpty(async (db) => {
      const stop = new AbortController();
      const admin = await db.connect("admin");
      await withWriter(
        db,
        async (writer) => {
          await writer.script("CREATE TABLE public.t (i int)");
          const running = failure(
            writer.transaction(async () => {
              await writer.query("INSERT INTO public.t VALUES (1)");
              await writer.query("SELECT pg_sleep(600)");
            }),
          );
          await asleep(admin);
          stop.abort();
          const err = await running;
          expect(err).to.be.instanceOf(GuardianError);
          expect(err.message).to.match(
            /^cancelled on request; what was under way is rolled back \(SQLSTATE 57014\) \[interrupted\]\n/,
          );
          expect((await failure(writer.query("SELECT 1"))).message).to.match(/^cancelled on request/);
          expect(writer.client.getTransactionStatus()).to.equal("I");
        },
        stop.signal,
      );
      expect((await admin.query("SELECT count(*) FROM t")).rows).to.deep.equal([{ count: "0" }]);
    }));

  it("TypeScript takes neither a Reader nor a read transaction for a Writer", () =>
    withEmpty((db) =>
      withReader(db, async (reader) => {
        type Passes<T> = T extends Writer ? true : false;
        const types: [Passes<Reader>, Passes<Reading>, Passes<Writer>] = [false, false, true];
        expect(types.map(String)).to.deep.equal(["false", "false", "true"]);
        expect(Writer.is(reader)).to.equal(false);
        await withWriter(db, (writer) => Promise.resolve(void expect(Writer.is(writer)).to.equal(true)));
      }),
    ));
});
