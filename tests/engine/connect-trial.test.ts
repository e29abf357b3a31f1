import { expect } from "chai";
import { inTrial, type Trial } from "../../engine/connect";
import { refusalOf, settingsOf, until } from "./module/harness";
import { withV6, type V6 } from "../support/postgres";

/** A table of the migrator's, into which trials write. */
const kept = (test: (db: V6, count: () => Promise<number>) => Promise<void>): Promise<void> =>
  withV6(async (db) => {
    const client = await db.connect();
    await client.query("CREATE TABLE public.kept (id int)");
    const count = async (): Promise<number> =>
      (await client.query<{ n: number }>("SELECT count(*)::int AS n FROM public.kept")).rows[0]?.n ?? -1;
    await test(db, count);
  });

const trial = <T>(db: V6, work: (trial: Trial) => Promise<T>): Promise<T> =>
  inTrial(settingsOf(db.migrator), "test", work);

describe("a trial", function () {
  this.timeout(60_000);

  it("19-7 writes, and nothing of it is there afterwards, whether it ends well or not", () =>
    kept(async (db, count) => {
      const seen = await trial(db, async (it) => {
        await it.query("INSERT INTO public.kept VALUES (1)");
        return (await it.query<{ n: number }>("SELECT count(*)::int AS n FROM public.kept")).rows[0]?.n;
      });
      expect([seen, await count()]).to.deep.equal([1, 0]);
      const broken = trial(db, async (it) => {
        await it.query("INSERT INTO public.kept VALUES (1)");
        throw new Error("broken");
      });
      expect(await broken.catch(String)).to.equal("Error: broken");
      expect(await count()).to.equal(0);
    }));

  it("19-7 takes no statement by which it could be committed, however it is written", () =>
    kept(async (db, count) => {
      for (const text of [
        "COMMIT",
        "  end",
        ";COMMIT",
        "-- a comment\nCOMMIT AND CHAIN",
        "/* a /* nested */ comment */ commit work",
        "PREPARE TRANSACTION 'kept'",
        "ROLLBACK",
        "BEGIN",
        "RELEASE SAVEPOINT trial",
      ]) {
        const refused = await refusalOf(
          trial(db, async (it) => {
            await it.query("INSERT INTO public.kept VALUES (1)");
            await it.query(text);
          }),
        );
        expect(refused.code, text).to.equal("transaction-broken");
      }
      const two = trial(db, (it) => it.query("INSERT INTO public.kept VALUES (1); COMMIT"));
      expect(String(await two.catch((err: unknown) => err))).to.match(/cannot insert multiple commands/);
      const procedure = "CREATE PROCEDURE public.commits() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'";
      const inside = trial(db, async (it) => {
        await it.query("INSERT INTO public.kept VALUES (1)");
        await it.query(procedure);
        await it.query("DO $$ BEGIN CALL public.commits(); END $$");
      });
      expect(String(await inside.catch((err: unknown) => err))).to.match(/invalid transaction termination/);
      expect(await count()).to.equal(0);
    }));

  it("19-7 takes back a part, with its role, and goes on", () =>
    kept(async (db) => {
      const said = await trial(db, async (it) => {
        const who = async (): Promise<string | undefined> =>
          (await it.query<{ who: string }>("SELECT current_user AS who")).rows[0]?.who;
        const within = await it.takenBack(async () => {
          await it.query("SET LOCAL ROLE authenticated");
          await it.takenBack(() => it.query("SELECT 1"));
          await it.query("INSERT INTO public.kept VALUES (1)");
          return who();
        });
        const left = await it.query<{ n: number }>("SELECT count(*)::int AS n FROM public.kept");
        return [within, await who(), left.rows[0]?.n];
      });
      expect(said).to.deep.equal(["authenticated", "guardian_migrator", 0]);
    }));

  it("19-7 is over with its session: locks of the session too, and what was to be told", () =>
    kept(async (db) => {
      const client = await db.connect();
      const heard: string[] = [];
      client.on("notification", ({ channel }) => heard.push(channel));
      await client.query("LISTEN trial");
      await trial(db, (it) => it.query("SELECT pg_advisory_lock(19, 7), pg_notify('trial', '')"));
      await until(client, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 19)");
      expect(heard).to.deep.equal([]);
    }));

  it("19-7 waits for nobody for long, and is rolled back where its session is ended", () =>
    kept(async (db, count) => {
      const [admin, holder] = [await db.connect("admin"), await db.connect()];
      await holder.query("BEGIN; LOCK TABLE public.kept");
      const began = performance.now();
      const waited = await trial(db, (it) => it.query("INSERT INTO public.kept VALUES (1)")).catch(
        (err: unknown) => err,
      );
      expect([(waited as { code: string }).code, performance.now() - began < 5000]).to.deep.equal(["55P03", true]);
      await holder.query("ROLLBACK");
      const ended = trial(db, async (it) => {
        await it.query("INSERT INTO public.kept VALUES (1)");
        await admin.query(
          "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'guardian-migration test' AND datname = current_database()",
        );
        await it.query("INSERT INTO public.kept VALUES (2)");
      });
      expect((await refusalOf(ended)).code).to.equal("connection-lost");
      expect(await count()).to.equal(0);
    }));
});
