import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { ConnectionLostError } from "../../../engine/connect";
import type { FencedWriter } from "../../../engine/database";
import type { Askable } from "../../../engine/base/sql";
import { takeLock } from "../../../engine/ledger/lock";
import { addStep, setStep } from "../../../engine/ledger/steps";
import { column, type Engine, moduleOf, refusalOf, until, withEngine } from "../module/harness";
import { beside } from "./owned";

/** A promise that is settled from outside. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

/** Someone who has the lock, did something first, and keeps it until `opened`; then he asks the server once more. */
async function held<T>(
  engine: Engine,
  opened: Promise<void>,
  before?: (fenced: FencedWriter) => Promise<T>,
): Promise<{ first: Promise<T | undefined> }> {
  const had = gate();
  const first = engine.write("SqlModule", "900_t", async (fenced) => {
    const done = await before?.(fenced);
    had.open();
    await opened;
    await fenced.writer.query("SELECT 1");
    return done;
  });
  await Promise.race([had.opened, first]);
  return { first };
}

/** Notes in the ledger that the piece of work has begun. */
const begin = (fenced: FencedWriter): ReturnType<typeof addStep> =>
  fenced.transaction((tx) => addStep(tx, { urn: fenced.options.urn, kind: "SqlModule", state: "running" }));

const slow = {
  yaml: "objects:\n  table: [public.t]\n",
  up: "CREATE TABLE public.t (id int PRIMARY KEY);\nSELECT pg_sleep(30);",
};
const sleeping =
  "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database())";

describe("the lock of a database", function () {
  this.timeout(180_000);

  it("lets the writers of one process take turns", () =>
    withEngine(async (engine) => {
      const log: string[] = [];
      const work = (name: string) =>
        engine.write("SqlModule", name, async (fenced) => {
          log.push(`${name} begins`);
          await fenced.writer.query("SELECT pg_sleep(0.05)");
          if (name === "b") throw new Error("b fails");
          log.push(`${name} ends`);
        });
      const results = await Promise.allSettled(["a", "b", "c"].map(work));
      expect(results.map((result) => result.status)).to.deep.equal(["fulfilled", "rejected", "fulfilled"]);
      expect(log).to.deep.equal(["a begins", "a ends", "b begins", "c begins", "c ends"]);
      expect(engine.told, "they never met at the server").to.deep.equal([]);
    }));

  it("is waited for, naming who holds it, and had as soon as he is through", () =>
    withEngine(async (engine, db) => {
      const { open, opened } = gate();
      await beside(db.migrator, { parameters: { patience: 10_000 } }, async (other) => {
        const { first } = await held(engine, opened);
        const second = other.write("SqlModule", "901_x", () => Promise.resolve("had it"));
        while (other.told.length === 0) await sleep(10);
        expect(other.told[0]).to.include({ phase: "operator" });
        expect(other.told[0]?.reason).to.match(
          /^held by guardian-migration SqlModule 900_t \(pid \d+, user guardian_migrator, for \d+ s\)$/,
        );
        open();
        expect(await second).to.equal("had it");
        await first;
      });
    }));

  it("of another stack is left alone, whatever happens", () =>
    withEngine(async (engine, db) => {
      const { open, opened } = gate();
      await beside(db.migrator, { stack: "prod::guardian" }, async (other) => {
        const { first } = await held(engine, opened, async (fenced) => {
          await begin(fenced);
          return fenced.writer.pid;
        });
        const said = await refusalOf(other.write("SqlModule", "900_t", () => Promise.resolve()));
        expect(said.what).to.equal(
          "another operation holds the migration's lock on this database, and it is not a dead predecessor of this stack",
        );
        expect(said.where).to.match(
          /^guardian-migration SqlModule 900_t \(pid \d+, user guardian_migrator, for \d+ s\)$/,
        );
        open();
        const pid = await first;
        expect(said.todo).to.deep.equal([
          "wait until it is through, then run this again",
          `if nobody runs it any more: SELECT pg_terminate_backend(${pid});`,
        ]);
      }).finally(open);
    }));

  it("of somebody who takes it by hand is left alone as well", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      await admin.query("SET application_name = 'me'; SELECT pg_advisory_lock(1196769618, 1)");
      const said = await refusalOf(engine.write("SqlModule", "900_t", () => Promise.resolve()));
      expect(said.where).to.match(/^me \(pid \d+, user postgres\)$/);
      expect(await column(admin, "SELECT 1")).to.deep.equal([1]);
    }));

  it("held by a prepared transaction is not waited for without end: it is named, with what ends it", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      // As an operator's script does that takes the key for one transaction.
      await admin.query("BEGIN; SELECT pg_advisory_xact_lock(1196769618, 1); PREPARE TRANSACTION 'it''s left'");
      try {
        const said = await refusalOf(engine.write("SqlModule", "900_t", () => Promise.resolve()));
        expect(said.code).to.equal("migration-locked");
        const who = `prepared transaction 'it''s left' (user postgres, database ${db.name}, prepared since `;
        expect(said.where).to.contain(who);
        expect(engine.told[0]?.reason).to.contain(`held by ${who}`);
        expect(said.todo.join()).to.contain("ROLLBACK PREPARED 'it''s left';");
      } finally {
        await admin.query("ROLLBACK PREPARED 'it''s left'");
      }
      expect(await engine.write("SqlModule", "900_t", () => Promise.resolve("had it"))).to.equal("had it");
    }));

  it("of a dead predecessor of this stack is taken from it, after some patience", () =>
    withEngine(async (engine, db) => {
      const admin = await db.connect("admin");
      await beside(db.migrator, { parameters: { patience: 400 } }, async (next) => {
        const dead = refusalOf(engine.apply(await moduleOf("900_t", slow)));
        await until(admin, sleeping);
        const began = Date.now();
        await next.apply(await moduleOf("900_t", { ...slow, up: slow.up.replace("30", "0") }));
        expect(Date.now() - began, "some patience").to.be.at.least(400);
        expect(await dead).to.be.instanceOf(ConnectionLostError);
        expect(await next.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
      });
    }));

  it("also where that one was between two steps, or went on with what another one had begun", () =>
    withEngine(async (engine, db) => {
      for (const resumed of [false, true]) {
        const { open, opened } = gate();
        // One that shows no sign of life, as a stopped process does.
        await beside(db.migrator, { parameters: { lease: 3_600_000 } }, async (second) => {
          const begun = await engine.write("SqlModule", "900_t", begin);
          const { first: idle } = await held(second, opened, async (fenced) => {
            const step = resumed ? begun : await begin(fenced);
            await fenced.transaction((tx) => setStep(tx, step, { state: resumed ? "running" : "done" }));
          });
          const failed = refusalOf(idle);
          const third = (it: Engine) => it.write("SqlModule", "900_t", () => Promise.resolve("had it"));
          expect(await beside(db.migrator, {}, third)).to.equal("had it");
          open();
          expect(await failed).to.be.instanceOf(ConnectionLostError);
        }).finally(open);
      }
    }));

  it("one that is alive keeps it, though it is between two statements", () =>
    withEngine(async (engine, db) => {
      const { open, opened } = gate();
      // A lease that no machine is too busy to renew; patience that is longer than the holder's own.
      await beside(db.migrator, { parameters: { patience: 900, lease: 10_000 } }, async (other) => {
        const { first: alive } = await held(engine, opened, (fenced) => begin(fenced).then(() => 1));
        const said = await refusalOf(other.write("SqlModule", "900_t", () => Promise.resolve()));
        expect(said.what).to.match(/and it is alive$/);
        open();
        expect(await alive).to.equal(1);
      }).finally(open);
    }));

  for (const [what, seconds, patience] of [
    ["it is busy with one short statement after the other", 0.25, 900],
    ["its statement takes longer than all of our patience", 1.5, 300],
  ] as const) {
    it(`one that is alive keeps it until its lease is over, though ${what}`, () =>
      withEngine(
        async (busy, db) => {
          let refused = false;
          const alive = busy.write("SqlModule", "900_t", async (fenced) => {
            await begin(fenced);
            while (!refused) await fenced.transaction((tx) => tx.query("SELECT pg_sleep($1)", [seconds]));
            return "through";
          });
          await until(await db.connect("admin"), sleeping);
          await beside(db.migrator, { parameters: { lease: 20_000, patience } }, async (other) => {
            const said = refusalOf(other.write("SqlModule", "900_t", () => Promise.resolve()));
            await said.finally(() => (refused = true)).catch(() => undefined);
            expect(await alive).to.equal("through");
            expect((await said).what).to.match(/and it is alive$/);
          });
        },
        { parameters: { lease: 20_000 } },
      ));
  }

  it("of another that came by it meanwhile is not said to have been told to end: he lives, and that is what is said", async () => {
    const urn = "urn:pulumi:dev::guardian::guardian:index:SqlModule::any";
    const holder = (pid: number, silent: number): object => ({
      ...{ pid, silent, backendStart: "2026-01-01", application: "x", user: "u", age: 1, active: false },
    });
    const ended: unknown[] = [];
    const answer = (text: string, values: unknown[] = []): object[] => {
      if (text.includes("pg_try_advisory_lock")) return [{ got: false }];
      if (text.includes("pg_terminate_backend")) ended.push(...values);
      if (text.includes("SELECT urn")) return [{ urn }];
      return text.includes("pg_stat_activity") ? [ended.length === 0 ? holder(1, 9999) : holder(2, 0)] : [];
    };
    const db = { query: (text: string, values?: unknown[]) => Promise.resolve({ rows: answer(text, values) }) };
    const options = { stack: "dev::guardian", patience: 100, lease: 50, onWait: () => undefined };
    const signal = new AbortController().signal;
    const said = await refusalOf(takeLock(db as unknown as Askable, { ...options, signal }));
    expect(said.what).to.match(/and it is alive$/);
    expect(ended).to.deep.equal([1]);
  });

  it("a cancelled operator stops waiting for it", () =>
    withEngine(async (engine, db) => {
      const { open, opened } = gate();
      const stop = new AbortController();
      await beside(db.migrator, { parameters: { patience: 60_000 } }, async (other) => {
        const { first } = await held(engine, opened);
        other.onProgress = () => stop.abort();
        const failed = await other
          .write("SqlModule", "900_t", () => Promise.resolve(), { signal: stop.signal })
          .catch((err: unknown) => err);
        expect(failed).to.be.instanceOf(Error);
        open();
        await first;
      }).finally(open);
    }));

  it("whoever was taken for dead and wakes up commits nothing", () =>
    withEngine(async (engine, db) => {
      const client = await db.connect();
      await client.query("CREATE TABLE public.mark (by text)");
      const write = engine.write("SqlModule", "900_t", async (fenced) => {
        await fenced.transaction((tx) => tx.query("INSERT INTO public.mark VALUES ('before')"));
        // Another operator has the lock by now, as after a network that was cut: every operator raises the epoch.
        await client.query("UPDATE guardian_migration.ledger SET epoch = epoch + 1");
        const said = await refusalOf(fenced.transaction((tx) => tx.query("INSERT INTO public.mark VALUES ('after')")));
        expect(said.what).to.equal("another operator has taken over; this one commits nothing more");
        return "told";
      });
      expect(await write).to.equal("told");
      expect(await column(client, "SELECT by FROM public.mark")).to.deep.equal(["before"]);
    }));

  it("nobody can take over in the middle of a transaction", () =>
    withEngine(async (engine, db) => {
      const [client, watcher] = [await db.connect(), await db.connect("admin")];
      let taken: Promise<unknown> = Promise.resolve();
      await engine.write("SqlModule", "900_t", (fenced) =>
        fenced.transaction(async (tx) => {
          taken = client.query("UPDATE guardian_migration.ledger SET epoch = epoch + 1");
          await until(
            watcher,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE guardian_migration.ledger%')",
          );
          await tx.query("CREATE TABLE public.mark ()");
        }),
      );
      await taken;
      expect(await column(client, "SELECT to_regclass('public.mark') IS NOT NULL")).to.deep.equal([true]);
    }));
});
