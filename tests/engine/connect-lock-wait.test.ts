import type { Progress } from "../../engine/base/progress";
import { expect } from "chai";
import { DatabaseError, type Client } from "pg";
import { connectReader, connectWriter, type SessionOptions, type Writer } from "../../engine/connect";
import { until } from "../support/processes";
import { withEmpty, type V6 } from "../support/postgres";
import { refusalOf, settingsOf } from "./module/harness";
import { lastly } from "../support/lastly";

/** A table with a row that a session holds, left open in its transaction. */
async function held(db: V6): Promise<Client> {
  const holder = await db.connect("admin");
  await holder.query("CREATE TABLE public.flags (name text PRIMARY KEY, percent int)");
  await holder.query("INSERT INTO public.flags VALUES ('secret-name', 0)");
  await holder.query("SET application_name = 'psql'; BEGIN; UPDATE public.flags SET percent = 1");
  return holder;
}

async function withWriter(db: V6, options: Partial<SessionOptions>, test: (writer: Writer) => Promise<void>) {
  const writer = await connectWriter(settingsOf(db.admin), { detail: "test", ...options });
  await lastly(test(writer), () => writer.close());
}

const write = "UPDATE public.flags SET percent = 2 WHERE name = 'secret-name'";

describe("a lock that another session holds", function () {
  this.timeout(180_000);

  it("is waited for a bounded time: the error names who holds it, and the transaction is rolled back", () =>
    withEmpty(async (db) => {
      const holder = await held(db);
      const told: Progress[] = [];
      const onWait = (progress: Progress): void => void told.push(progress);
      const { rows } = await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      await withWriter(db, { lockTimeout: 4000, onWait }, async (writer) => {
        const refused = await refusalOf(writer.transaction(() => writer.query(write)));
        const { what, where, todo, message, sqlstate } = refused;
        expect(sqlstate).to.equal("55P03");
        expect(what).to.match(/^another session holds a lock that this step waited for, up to 4 s; /);
        const who = `psql \\(pid ${rows[0]!.pid}, user postgres, idle in transaction, transaction since \\d+ s\\)`;
        expect(where).to.match(new RegExp(`; held by ${who}$`));
        expect(todo[1]).to.equal(`if nobody needs it: SELECT pg_terminate_backend(${rows[0]!.pid});`);
        expect(message).not.to.contain("secret-name");
        expect(told[0]?.reason).to.match(new RegExp(`^held by ${who}$`));
        await holder.query("ROLLBACK");
        // The session goes on being of use.
        await writer.transaction(() => writer.query(write));
      });
      expect((await holder.query("SELECT percent FROM public.flags")).rows).to.deep.equal([{ percent: 2 }]);
    }));

  it("16-18 is named where no session holds it any more: a prepared transaction, and what ends it", () =>
    withEmpty(async (db) => {
      const [holder, admin] = [await held(db), await db.connect("admin")];
      await holder.query("PREPARE TRANSACTION 'it''s one'");
      try {
        await withWriter(db, { lockTimeout: 3000 }, async (writer) => {
          for (const statement of [write, "ALTER TABLE public.flags ADD COLUMN x int"]) {
            const { where, todo } = await refusalOf(writer.transaction(() => writer.query(statement)));
            const who = `prepared transaction 'it''s one' (user postgres, database ${db.name}, prepared since `;
            expect(where, statement).to.contain(`; held by ${who}`);
            expect(todo.join(), statement).to.contain("ROLLBACK PREPARED 'it''s one';");
          }
        });
      } finally {
        await admin.query("ROLLBACK PREPARED 'it''s one'");
      }
    }));

  it("given back in time, the statement goes on, and the connection that looked is closed", () =>
    withEmpty(async (db) => {
      const holder = await held(db);
      let told = 0;
      await withWriter(db, { lockTimeout: 120_000, onWait: () => told++ }, async (writer) => {
        const done = writer.transaction(() => writer.query(write));
        await until("somebody is told", () => told > 0);
        await holder.query("COMMIT");
        expect((await done).rowCount).to.equal(1);
        const looking = "SELECT FROM pg_stat_activity WHERE application_name LIKE '%who is in the way'";
        await until("it is closed", async () => (await holder.query(looking)).rowCount === 0);
      });
    }));

  it("a transaction that sets less gets PostgreSQL's own error, and a reader is bounded too", () =>
    withEmpty(async (db) => {
      const holder = await held(db);
      await withWriter(db, { lockTimeout: 20_000 }, async (writer) => {
        const work = writer.transaction(async () => {
          await writer.query("SET LOCAL lock_timeout = 20");
          await writer.query(write);
        });
        expect(await work.catch((err: unknown) => err))
          .to.be.instanceOf(DatabaseError)
          .and.include({ code: "55P03" });
      });
      await holder.query("LOCK TABLE public.flags IN ACCESS EXCLUSIVE MODE");
      const reader = await connectReader(settingsOf(db.admin), { detail: "test", lockTimeout: 3000 });
      const waiting = reader.read((reading) => reading.query("SELECT count(*) FROM public.flags"));
      expect(await refusalOf(waiting)).to.include({ sqlstate: "55P03" });
      await reader.close();
    }));
});
