import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { escapeIdentifier } from "pg";
import {
  CommitUnknownError,
  ConnectionLostError,
  connectWriter,
  transactionOutcome,
  type Writer,
} from "../../engine/connect";
import { toldSql, type LastWord } from "../../engine/connect/outcome";
import { give, serverAccount } from "../../engine/server/account";
import { startServer, type Server } from "../../engine/server/server";
import { withClient } from "../../scripts/v6/database";
import { settingsOf } from "../../scripts/v6/operator";
import { CutWire } from "../support/cut-wire";
import { major, withEmpty, withV6, type V6 } from "../support/postgres";
import { lastly } from "../support/lastly";

/** A wire that is cut at COMMIT: `before` the server sees it, or `after`, when its answer is on the way. */
class Wire extends CutWire {
  cut: "no" | "before" | "after" = "no";

  protected override cutNow(): "no" | "before" | "after" {
    return this.cut;
  }
}

describe("a connection lost during COMMIT", function () {
  this.timeout(60_000);

  async function run(
    cut: Wire["cut"],
    db: V6,
    closed = false,
  ): Promise<{ result: unknown; rows: number; outcome: string }> {
    const wire = new Wire(db.admin.host, db.admin.port);
    const through = settingsOf(db.admin, await wire.listen());
    const writer = await connectWriter(through, { detail: "commit", commitPatience: 1 });
    await writer.script("CREATE TABLE public.t (i int)");
    let xid = "";
    const result = await writer
      .transaction(async () => {
        await writer.query("INSERT INTO public.t VALUES (1)");
        xid = (await writer.query<{ xid: string }>("SELECT pg_current_xact_id()::text AS xid")).rows[0]!.xid;
        expect(await transactionOutcome(writer.settings, xid)).to.equal("in progress");
        wire.cut = cut;
        wire.closed = closed;
        return "done";
      })
      .catch((err: unknown) => err);
    await writer.close();
    wire.stop();
    const admin = await db.connect("admin");
    const rows = (await admin.query("SELECT i FROM t")).rows.length;
    return { result, rows, outcome: await transactionOutcome(settingsOf(db.admin), xid, 5) };
  }

  it("of a transaction that a statement broke meanwhile the server says ROLLBACK, and so do we", () =>
    withEmpty(async (db) => {
      const writer = await connectWriter(settingsOf(db.admin), { detail: "commit" });
      try {
        await writer.script("CREATE TABLE public.t (i int)");
        let beat: Promise<unknown> | undefined;
        const said = await writer
          .transaction(async () => {
            await writer.query("INSERT INTO public.t VALUES (1)");
            // As a sign of life that its timeout ends: asked for after the last word, and before COMMIT.
            setImmediate(() => {
              beat = writer.query("SELECT 1 / 0").catch((err: unknown) => err);
            });
          })
          .catch((err: unknown) => err);
        expect(await beat).to.have.property("code", "22012");
        expect(said).to.have.property("code", "transaction-broken");
        expect((await writer.query("SELECT i FROM public.t")).rows).to.deep.equal([]);
      } finally {
        await writer.close();
      }
    }));

  it("after the server committed: the result stands", () =>
    withEmpty(async (db) => {
      expect(await run("after", db)).to.deep.equal({ result: "done", rows: 1, outcome: "committed" });
    }));

  it("before the server heard of it: rolled back, and said so", () =>
    withEmpty(async (db) => {
      const { result, rows, outcome } = await run("before", db);
      expect(result).to.be.instanceOf(ConnectionLostError).and.not.instanceOf(CommitUnknownError);
      expect({ rows, outcome }).to.deep.equal({ rows: 0, outcome: "aborted" });
    }));

  it("and the server not to be asked: nobody can tell, with the id to ask for", () =>
    withEmpty(async (db) => {
      const { result, outcome } = await run("after", db, true);
      expect(result).to.be.instanceOf(CommitUnknownError);
      expect(String(result))
        .to.match(/did not say whether it took place/)
        .and.match(/pg_xact_status\('\d+'/);
      expect(outcome).to.equal("committed");
    }));

  // A hosted server may not have the functions that tell its checkpoint, or keep them to itself.
  it("of a server that does not tell its checkpoint: it is written to, and of a lost COMMIT nobody can tell", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(`REVOKE EXECUTE ON FUNCTION pg_control_recovery() FROM PUBLIC; CREATE TABLE public.t (i int);
        GRANT INSERT ON public.t TO ${escapeIdentifier(db.migrator.user)}`);
      const wire = new Wire(db.migrator.host, db.migrator.port);
      const writer = await connectWriter(settingsOf(db.migrator, await wire.listen()), { detail: "commit" });
      const insert = (cut: Wire["cut"]) =>
        writer.transaction(async () => {
          await writer.query("INSERT INTO public.t VALUES (1)");
          wire.cut = cut;
        });
      await insert("no");
      const lost = await insert("after").catch((err: unknown) => err);
      await writer.close();
      wire.stop();
      expect(lost).to.be.instanceOf(CommitUnknownError);
      expect((await admin.query("SELECT i FROM t")).rows, "both were committed").to.have.length(2);
    }));

  // PostgreSQL counts on from what reached the disk: an id that was handed out just before a crash is handed out again.
  it("an id that a crash gave to somebody else: rolled back, whatever became of the other", async () => {
    const own = await startServer({ major, settings: { fsync: "on", synchronous_commit: "on" } });
    try {
      const settings = settingsOf({ ...own, database: "postgres" });
      const ask = <R>(work: (writer: Writer) => Promise<R>): Promise<R> =>
        connectWriter(settings, { detail: "crash" }).then((writer) => lastly(work(writer), () => writer.close()));
      await ask((writer) => writer.script("CREATE TABLE public.t (i int); CHECKPOINT"));
      const last = { xid: "", checkpoint: "", timeline: 0 };
      const result = await ask((writer) =>
        writer.transaction(async () => {
          await writer.query("INSERT INTO public.t VALUES (1)");
          const text = `SELECT pg_current_xact_id()::text AS xid, ${toldSql}`;
          Object.assign(last, (await writer.query(text)).rows[0]);
          process.kill(writer.pid, "SIGKILL");
          return "done";
        }),
      ).catch((err: unknown) => err);
      expect(result).to.be.instanceOf(ConnectionLostError).and.not.instanceOf(CommitUnknownError);
      const next = async (): Promise<string> =>
        ask((writer) =>
          writer.transaction(
            async () => (await writer.query<{ xid: string }>("SELECT pg_current_xact_id()::text AS xid")).rows[0]!.xid,
          ),
        ).catch(() => sleep(100).then(() => "0"));
      while (BigInt(await next()) < BigInt(last.xid)) continue;
      expect(await transactionOutcome(settings, last.xid), "the other's").to.equal("committed");
      expect(await transactionOutcome(settings, last.xid, 0, last)).to.equal("aborted");
    } finally {
      await own.stop();
    }
  });

  // A standby that takes the primary's place without having heard of a transaction gives its id to another one.
  it("on a standby that was promoted meanwhile nobody can tell, whatever became of the other that has the id", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian-promoted-"));
    chmodSync(folder, 0o755);
    give(serverAccount(), folder);
    const ask = async <R>(on: Server, text: string): Promise<R> => {
      const writer = await connectWriter(settingsOf({ ...on, database: "postgres" }), { detail: "promoted" });
      const { rows } = await lastly(writer.query<R & object>(text), () => writer.close());
      return rows[0] as R;
    };
    try {
      const primary = await startServer({ major, dataDir: folder });
      const last = await ask<LastWord>(primary, `SELECT 1 + pg_current_xact_id()::text::bigint AS xid, ${toldSql}`);
      await primary.stop();
      const signal = join(folder, "data", "standby.signal");
      writeFileSync(signal, "");
      give(serverAccount(), signal);
      const promoted = await startServer({ major, dataDir: folder });
      try {
        const settings = settingsOf({ ...promoted, database: "postgres" });
        await withClient({ ...promoted, database: "postgres" }, (client) => client.query("SELECT pg_promote()"));
        const asked = () => transactionOutcome(settings, last.xid, 0, last);
        expect(await asked(), "before it has a checkpoint of its own").to.equal("unknown");
        let xid = "0";
        while (BigInt(xid) < BigInt(last.xid))
          ({ xid } = await ask<LastWord>(promoted, "SELECT pg_current_xact_id()::text AS xid"));
        await ask(promoted, "CHECKPOINT");
        expect(await transactionOutcome(settings, last.xid), "the other's").to.equal("committed");
        expect(await asked()).to.equal("unknown");
      } finally {
        await promoted.stop();
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("an id of another server is refused", () =>
    withEmpty(async (db) => {
      const settings = settingsOf(db.admin);
      const answer = await transactionOutcome(settings, "999999999").catch((err: unknown) => String(err));
      expect(answer).to.match(
        /SQLSTATE 22023\) \[postgres-refused\]\n {2}where: .*transaction 999999999\n {2}to do: check that this is still/,
      );
      expect(await transactionOutcome(settings, "3")).to.equal("unknown");
    }));
});
