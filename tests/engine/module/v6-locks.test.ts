import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { FencedWriter } from "../../../engine/database";
import { applyModule } from "../../../engine/module/apply";
import { engineParameters, type EngineParameters } from "../../../engine/parameters";
import { outlast } from "../../../engine/migrate/rows/outlast";
import { inOrder, pauseAfter, reasonOf } from "../../../engine/module/v6-locks";
import { sqlstateOf } from "../../../engine/base/errors";
import type { Queryable } from "../../../engine/base/sql";
import { catalogue } from "../../support/modules";
import type { V6 } from "../../support/postgres";
import { column, moduleOf, refusalOf, until, withEngine, type Engine, type Files, withAdmin } from "./harness";
import { watched } from "./watched";

const files: Files = {
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\n",
  up: "CREATE TABLE public.t (id uuid PRIMARY KEY);\nALTER TABLE public.t ADD FOREIGN KEY (id) REFERENCES auth.users ON DELETE CASCADE;",
  down: "DROP TABLE public.t;",
};
/** As files, and while auth.users is locked something slow. */
const slow = (seconds: number, times = 1, verify = 0): Files => ({
  ...files,
  up: `${files.up}\n${`SELECT pg_sleep(${seconds});\n`.repeat(times)}`,
  ...(verify > 0 ? { verify: `DO $$ BEGIN PERFORM pg_sleep(${verify}); END $$` } : {}),
});

/** What a busy machine with two cores adds to a wait, in milliseconds; who waits without the guard waits longer. */
const slack = 4000;
const real = { lockTimeout: 50, lockHold: 200, pauseFloor: 100, pauseTimes: 99 };
/** A try that gives up early may be followed by another soon. */
const impatient = { lockTimeout: 4, lockHold: 5000, pauseFloor: 50, pauseTimes: 0 };

/** A database, and an engine with these times. */
const withLocks = (parameters: Partial<EngineParameters>, test: (engine: Engine, db: V6) => Promise<void>) =>
  withEngine(test, { parameters });

describe("locks on v6 tables", function () {
  this.timeout(180_000);

  it("after a failed try they are left alone for 99 times as long as they suffered, and as much again at random", () => {
    for (const suffered of [0, 20, 200]) {
      const least = Math.max(5000, 99 * suffered);
      const found = Array.from({ length: 200 }, () => pauseAfter(suffered, engineParameters({})));
      expect(Math.min(...found)).to.be.at.least(least);
      expect(Math.max(...found)).to.be.below(2 * least);
      expect(Math.max(...found), "not all the same").to.be.above(Math.min(...found) * 1.5);
    }
  });

  it("every second try asks for them the other way round: v6 may have the second and wait for the first", () => {
    const relations = ["a.a", "b.b", "c.c"];
    expect([1, 2, 3].map((tries) => inOrder(relations, tries)[0])).to.deep.equal(["a.a", "c.c", "a.a"]);
    expect(relations, "its argument stays as it is").to.deep.equal(["a.a", "b.b", "c.c"]);
  });

  it("16-18 are held by a prepared transaction: it is named, with what ends it", () =>
    withLocks(real, async (engine, db) => {
      const [holder, admin] = [await db.connect("admin"), await db.connect("admin")];
      await holder.query("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'left over'");
      try {
        const said = await refusalOf(engine.apply(await moduleOf("900_t", files), 1));
        expect(said.where).to.match(
          /^auth\.users is held by prepared transaction 'left over' \(user postgres, database \w+, prepared since \d+ s\); if nobody will end it: ROLLBACK PREPARED 'left over'$/,
        );
        const waited = engine.write("SqlModule", "900_t", (fenced) => outlast(fenced, "auth.users", Date.now()));
        expect((await refusalOf(waited)).where).to.match(
          /^prepared transaction 'left over' .*ROLLBACK PREPARED 'left over'$/,
        );
      } finally {
        await admin.query("ROLLBACK PREPARED 'left over'");
      }
    }));

  it("16-5 from the second try on the line says that nobody is to blame but the server, or who is", () => {
    const work = { relations: ["auth.users"], own: [] };
    const line = (cause: "busy" | "slow", holders: string, tries: number): string =>
      reasonOf(cause, work, real, holders, tries);
    expect(line("slow", "", 1)).to.equal("auth.users: longer than 200 ms under the locks");
    expect(line("slow", "", 2)).to.equal(
      "auth.users: longer than 200 ms under the locks; nobody else holds them: the server is slow",
    );
    expect(line("slow", "auth.users is held by x", 2)).to.equal("auth.users: longer than 200 ms under the locks");
    expect(line("busy", "auth.users is held by x", 2)).to.equal("auth.users is held by x");
    expect(line("busy", "", 1)).to.equal("auth.users: locked by others");
    expect(line("busy", "", 2)).to.equal("auth.users: locked by others, one after the other; nobody holds them now");
  });

  it("work that was too slow is tried again after the pause", () =>
    withLocks({ ...real, lockHold: 1500, pauseTimes: 0 }, async (engine, db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE TABLE public.gate (open boolean); GRANT SELECT ON public.gate TO guardian_migrator");
      let opened: Promise<unknown> | undefined;
      engine.onProgress = () => void (opened ??= admin.query("INSERT INTO public.gate VALUES (true)"));
      const wait = "SELECT CASE WHEN NOT EXISTS (SELECT FROM public.gate) THEN pg_sleep(60) END;";
      const module = await moduleOf("900_t", { ...files, up: `${files.up}\n${wait}` });
      await engine.apply(module);
      await opened;
      expect(engine.told[0]).to.include({ tries: 1, reason: "auth.users: longer than 1500 ms under the locks" });
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done" });
    }));

  /** Applies while somebody holds auth.users for so long after it is waited for. */
  const heldFor = async (ms: number, engine: Engine, db: V6, module: Files, seconds?: number): Promise<unknown> => {
    const holder = await db.connect("admin");
    await holder.query("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE");
    const done = engine.apply(await moduleOf("900_t", module), seconds);
    done.catch(() => undefined); // looked at by who calls this
    await until(holder, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'auth.users'::regclass AND NOT granted)");
    await sleep(ms);
    await holder.query("COMMIT");
    return done;
  };

  it("the time it waits for them counts, and the work has the rest", () =>
    withLocks({ lockTimeout: 8000, lockHold: 8000 }, async (engine, db) => {
      const rest = "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'";
      const yaml = files.yaml!.replace("public.t", "public.t, public.rest");
      const up = `CREATE TABLE public.rest (ms int);\n${files.up}\nINSERT INTO public.rest ${rest};`;
      await heldFor(1000, engine, db, { ...files, yaml, up });
      const [ms] = await column<number>(await db.connect(), "SELECT ms FROM public.rest");
      expect(ms, "as long as the locks may be held, and not as long again").to.be.within(1, 7000);
    }));

  it("so it does where one is had and the other is not", () =>
    withLocks({ lockTimeout: 2000, lockHold: 2000 }, async (engine, db) => {
      const other = await db.connect("admin");
      await other.query("BEGIN; LOCK TABLE public.documents IN ROW EXCLUSIVE MODE");
      const yaml = files.yaml!.replace("auth.users", "auth.users, public.documents");
      const said = await refusalOf(heldFor(1000, engine, db, { ...files, yaml }, 1));
      expect(said.what).to.match(/^tables could not be locked/);
      // By the time of all, and not by that of the second lock, 55P03.
      expect(sqlstateOf(said.cause)).to.equal("57014");
    }));

  it("time that runs out between two statements is the machine's fault and not the file's, and another try's matter", () =>
    withLocks(real, async (engine) => {
      const [now, transaction] = [performance.now.bind(performance), FencedWriter.prototype.transaction];
      let late = 0;
      performance.now = () => now() + late;
      FencedWriter.prototype.transaction = function (work) {
        const stalled = (db: Queryable): Queryable => ({
          query: db.query.bind(db),
          script: async (text) => {
            await db.script(text);
            if (text.includes("LOCK TABLE")) late = 2 * real.lockHold;
          },
        });
        return transaction.call(this, (db: Queryable) => work(stalled(db))) as ReturnType<typeof work>;
      };
      try {
        const { what, todo } = await refusalOf(engine.apply(await moduleOf("900_t", files), 5));
        expect(what).to.match(
          /^the work under the locks on v6 tables took longer than the 200 ms .*rolled back \(1 try\)$/,
        );
        expect(todo[0]).to.contain("run this again when the server");
      } finally {
        performance.now = now;
        FencedWriter.prototype.transaction = transaction;
      }
    }));

  for (const [verb, lock, mode] of [
    [
      "up",
      "UPDATE auth.users SET phone = phone WHERE id = (SELECT id FROM auth.users ORDER BY id DESC LIMIT 1)",
      "SHARE ROW EXCLUSIVE",
    ],
    ["down", "SELECT count(*) FROM auth.users", "ACCESS EXCLUSIVE"],
  ] as const) {
    const run = async (engine: Engine, seconds: number): Promise<unknown> =>
      verb === "up" ? engine.apply(await moduleOf("900_t", files), seconds) : engine.undo("900_t", seconds);

    it(`${verb}: somebody holds one; it is tried again until he is through, and nobody waits long meanwhile`, () =>
      withLocks(impatient, async (engine, db) => {
        if (verb === "down") await engine.apply(await moduleOf("900_t", files));
        const holder = await db.connect();
        await holder.query("SET application_name = 'report'; BEGIN");
        await holder.query(lock);
        const second = () => engine.told.find(({ tries = 0 }) => tries > 1);
        const { waited } = await watched(db, async () => {
          const done = run(engine, 60);
          while (!second()) await sleep(10);
          await holder.query("COMMIT");
          await done;
        });
        expect(engine.told[0]).to.include({ phase: "v6 locks", tries: 1 });
        expect(engine.told[0]?.reason).to.match(
          /auth\.users is held by report \(pid \d+, user guardian_migrator, idle in transaction, for \d+ s\)/,
        );
        expect(engine.told[0]).not.to.have.property("settings");
        expect(second()).to.include({
          tries: 2,
          settings:
            "guardian:locks sets how long a try waits and how long it rests (now {timeout: 4ms, pause: 50ms, patience: 300ms})",
        });
        expect(waited).to.be.below(impatient.lockTimeout + slack);
        expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": verb === "up" ? "done" : "undone" });
      }));

    it(`${verb}: he does not end; it is refused at the deadline, naming him, and nothing is left`, () =>
      withLocks(impatient, async (engine, db) => {
        if (verb === "down") await engine.apply(await moduleOf("900_t", files));
        const admin = await db.connect("admin");
        const before = await catalogue(admin);
        await admin.query("SET application_name = 'nightly'; BEGIN");
        await admin.query(lock);
        const said = await refusalOf(run(engine, 3));
        expect(said.what).to.match(
          new RegExp(
            `^tables could not be locked \\(${mode}, 4 ms a try\\) within this resource's timeout \\(\\d+ tr(y|ies)\\); nothing was changed$`,
          ),
        );
        // Of another user's session a role without pg_read_all_stats sees the name only.
        expect(said.where).to.match(/^auth\.users is held by nightly \(pid \d+, user \w+\)$/);
        await admin.query("COMMIT");
        expect(await catalogue(admin)).to.deep.equal(before);
        expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": verb === "up" ? "planned" : "done" });
      }));
  }

  for (const [what, module] of [
    ["one slow statement", slow(9)],
    ["many that are slow together", slow(0.15, 30)],
    ["a slow verify.sql after a slow statement", slow(0.15, 1, 9)],
  ] as const) {
    it(`${what}: nobody waits longer than the locks may be held, and it is refused with that reason`, () =>
      withLocks(real, async (engine, db) => {
        const admin = await db.connect("admin");
        const before = await catalogue(admin);
        const { result, waited } = await watched(db, async () =>
          refusalOf(engine.apply(await moduleOf("900_t", module), 1)),
        );
        expect(waited).to.be.below(real.lockHold + slack);
        expect(result.what).to.match(
          /^the work under the locks on v6 tables took longer than the 200 ms for which they may be held; it was rolled back \(1 try\)$/,
        );
        expect(result.where).to.match(/^auth\.users: sql\/900_t\/(up\.sql:\d+: SELECT pg_sleep|verify\.sql:1: DO)/);
        expect(await catalogue(admin)).to.deep.equal(before);
      }));
  }

  it("what needs no v6 lock may take its time", () =>
    withLocks({ ...real, lockTimeout: 1500, lockHold: 1500 }, async (engine) => {
      await engine.apply(await moduleOf("900_t", { ...files, up: `SELECT pg_sleep(2);\n${files.up}` }));
      expect(engine.told).to.deep.equal([]);
    }));

  it("several are locked in one fixed order, whatever module.yaml says", () =>
    withLocks({ lockTimeout: 5000, lockHold: 10_000 }, async (engine, db) => {
      const two = { ...files, yaml: files.yaml!.replace("auth.users", "public.documents, auth.users") };
      const holder = await db.connect("admin");
      const held = `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name LIKE '%SqlModule%'
            AND l.relation = 'public.documents'::regclass AND NOT granted) AND EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.application_name LIKE '%SqlModule%' AND l.relation = 'auth.users'::regclass AND l.mode = 'ShareRowExclusiveLock' AND granted)`;
      await holder.query("BEGIN");
      await holder.query("LOCK TABLE public.documents IN ROW EXCLUSIVE MODE");
      const done = engine.apply(await moduleOf("900_t", two));
      const watcher = await db.connect("admin");
      await until(watcher, held);
      await holder.query("COMMIT");
      await done;
    }));

  it("a statement that an administrator cancels is not tried again", () =>
    withAdmin(async (engine, admin) => {
      const failed = refusalOf(
        engine.apply(await moduleOf("900_t", { ...files, up: `SELECT pg_sleep(30);\n${files.up}` })),
      );
      const asleep = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
      await until(admin, `SELECT EXISTS (SELECT ${asleep})`);
      await admin.query(`SELECT pg_cancel_backend(pid) ${asleep}`);
      expect((await failed).sqlstate).to.equal("57014");
      expect(engine.told).to.deep.equal([]);
    }));

  it("a cancelled run does not sit out its pause", () =>
    withLocks({ pauseFloor: 30_000 }, async (engine, db) => {
      const holder = await db.connect();
      await holder.query("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE");
      const stop = new AbortController();
      engine.onProgress = () => stop.abort();
      const module = await moduleOf("900_t", files);
      const began = Date.now();
      const failed = await engine
        .write("SqlModule", "900_t", (fenced) => applyModule(fenced, module, Date.now() + 60_000), {
          signal: stop.signal,
        })
        .catch((err: unknown) => err);
      expect(failed).to.be.instanceOf(Error);
      expect(Date.now() - began).to.be.below(20_000);
      await until(
        await db.connect("admin"),
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%SqlModule%' AND datname = current_database())",
      );
    }));
});
