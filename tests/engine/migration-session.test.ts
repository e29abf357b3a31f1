import { expect } from "chai";
import type { Client } from "pg";
import {
  completionMissing,
  openMigrationSession,
  readMigrationSession,
  rollBackMigrationSession,
  setCompletion,
  syncMigrationSession,
  writeAndSync,
  type MigrationSessionRow,
} from "../../engine/migration-session";
import { attempt } from "../../engine/ledger/attempt";
import { GuardianError } from "../../engine/base/errors";
import { loadMigration } from "../../engine/migrate/definition/migration";
import { moveRows, takeBackRows } from "../../engine/migrate";
import { loadModule } from "../../engine/module/files/manifest";
import { applyModule } from "../../engine/module/apply";
import { undoModule } from "../../engine/module/undo";
import type { V6 } from "../support/postgres";
import { column, moduleOf, refusalOf, withEngine, type Engine, type Files } from "./module/harness";

const wanted = {
  migrationType: "v6_to_v7",
  sourceVersion: "v6.0",
  targetVersion: "v7.0",
  environment: "test",
  totalSteps: 7,
};

/** The steps of a stack, each with the session's row brought up to date after it, whatever became of it, as handler.ts does. */
class Stack {
  constructor(readonly engine: Engine) {}

  async step<T>(kind: string, name: string, work: Parameters<Engine["write"]>[2]): Promise<T> {
    const options = await this.engine.options(kind, name);
    return (await writeAndSync(this.engine.host, options, work)) as T;
  }

  apply(module: Awaited<ReturnType<typeof loadModule>>): Promise<unknown> {
    return this.step("SqlModule", module.name, (fenced) => applyModule(fenced, module, Date.now() + 60_000));
  }

  undo(name: string): Promise<unknown> {
    return this.step("SqlModule", name, (fenced) => undoModule(fenced, Date.now() + 60_000));
  }

  async applyReal(...names: string[]): Promise<void> {
    for (const name of names) await this.apply(await loadModule(name));
  }

  open(totalSteps = wanted.totalSteps): Promise<MigrationSessionRow> {
    return this.step("MigrationSession", "session", (fenced) =>
      openMigrationSession(fenced, { ...wanted, totalSteps }),
    );
  }

  rollBack(): Promise<unknown> {
    return this.step("MigrationSession", "session", rollBackMigrationSession);
  }

  complete(done = true): Promise<unknown> {
    return this.step("SessionCompletion", "completion", (fenced) => setCompletion(fenced, done));
  }

  async move(name: string): Promise<unknown> {
    const migration = await loadMigration(name);
    return this.step("DataMigration", name, (fenced) =>
      moveRows(fenced, migration, { mode: "assumed", legalBasis: "consent", statement: "s" }),
    );
  }

  back(name: string): Promise<unknown> {
    return this.step("DataMigration", name, takeBackRows);
  }
}

const before = ["000_audit_log", "001_feature_flags", "002_migration_tracking"];

function withStack(test: (stack: Stack, client: Client, engine: Engine) => Promise<void>): Promise<void> {
  const work = async (engine: Engine, db: V6): Promise<void> => {
    const stack = new Stack(engine);
    await stack.open();
    await test(stack, await db.connect(), engine);
  };
  return withEngine(work, { modules: before });
}

const rowSql = `SELECT concat_ws(' ', status, completed_steps, total_steps, current_step, records_processed, records_failed, completed_at IS NOT NULL) FROM public.migration_sessions ORDER BY created_at`;
const row = (client: Client): Promise<string[]> => column(client, rowSql);
const stepsSql = `SELECT concat_ws(' ', step_name, kind, status, records_processed, ended_at IS NOT NULL) FROM public.migration_session_steps ORDER BY started_at`;
const broken: Files = {
  yaml: "objects:\n  table: [public.t]\n",
  up: "CREATE TABLE public.t (id int PRIMARY KEY);\nINSERT INTO public.t VALUES (1), (1);",
  down: "DROP TABLE public.t",
};
const mended: Files = { ...broken, up: broken.up.replace("(1), (1)", "(1)") };

describe("the session's row", function () {
  this.timeout(60_000);

  it("is opened once, knows what came before it, and is kept current by every step until it is completed", () =>
    withStack(async (stack, client, engine) => {
      expect(await row(client)).to.deep.equal(["in_progress 5 7 0 0 f"]);
      const first = await stack.open();
      expect(await stack.open()).to.deep.equal(first);
      expect(first).to.deep.include({
        migrationType: "v6_to_v7",
        sourceVersion: "v6.0",
        targetVersion: "v7.0",
        initiatedBy: "guardian_migrator",
      });
      await stack.applyReal("004_enhanced_consent", "005_user_preferences");
      expect(await row(client)).to.deep.equal(["in_progress 7 7 0 0 f"]);
      await stack.move("consents");
      await stack.move("preferences");
      const [consents, preferences] = await column<string>(
        client,
        "SELECT rows_written FROM guardian_migration.batch ORDER BY transaction_time",
      );
      const all = BigInt(consents!) + BigInt(preferences!);
      await stack.complete();
      expect(await row(client)).to.deep.equal([`completed 10 7 ${all} 0 t`]);
      expect(await column(client, stepsSql)).to.deep.equal([
        "ledger Ledger done 0 t",
        ...before.map((name) => `${name} SqlModule done 0 t`),
        "session MigrationSession done 0 t",
        "004_enhanced_consent SqlModule done 0 t",
        "005_user_preferences SqlModule done 0 t",
        `consents DataMigration done ${consents!} t`,
        `preferences DataMigration done ${preferences!} t`,
        "completion SessionCompletion done 0 t",
      ]);
      const [touched] = await column<Date>(client, "SELECT updated_at FROM public.migration_sessions");
      await engine.write("SqlModule", "none", (fenced) => syncMigrationSession(fenced, engine.stack));
      expect(
        await column(client, "SELECT updated_at FROM public.migration_sessions"),
        "nothing new is no write",
      ).to.deep.equal([touched]);
      await stack.complete(false);
      await stack.back("preferences");
      await stack.back("consents");
      expect(await row(client)).to.deep.equal(["in_progress 7 7 0 0 f"]);
      await engine.write("MigrationSession", "session", (fenced) =>
        openMigrationSession(fenced, { ...wanted, totalSteps: 9, environment: "renamed" }),
      );
      const told = "SELECT total_steps || ' ' || migration_environment FROM public.migration_sessions";
      expect(await column(client, told)).to.deep.equal(["9 renamed"]);
    }));

  it("is completed though the connection was lost between the last step and the row", () =>
    withStack(async (stack, client, engine) => {
      await stack.step("SessionCompletion", "completion", async (fenced) => {
        await setCompletion(fenced, true);
        // The first thing that anybody hears of it is the row's own transaction.
        await client.query("SELECT pg_terminate_backend($1, 5000)", [fenced.writer.pid]);
      });
      expect(await row(client)).to.deep.equal(["completed 6 7 0 0 t"]);
      expect((await engine.states("SessionCompletion", "completion"))[""]).to.equal("done");
    }));

  it("that somebody held when it was completed is seen to be behind, until the next write", () =>
    withStack(async (stack, client, engine) => {
      const { id } = await stack.open();
      const missing = (): Promise<boolean> => engine.host.read((db) => completionMissing(db, id));
      await client.query("BEGIN");
      await client.query("SELECT 1 FROM public.migration_sessions FOR UPDATE");
      await stack.complete();
      await client.query("ROLLBACK");
      expect(await row(client)).to.deep.equal(["in_progress 5 7 0 0 f"]);
      expect(await missing()).to.equal(true);
      await stack.complete();
      expect(await row(client)).to.deep.equal(["completed 6 7 0 0 t"]);
      expect(await missing()).to.equal(false);
    }));

  it("says what failed, without values, and that it went on", () =>
    withStack(async (stack, client) => {
      await refusalOf(stack.apply(await moduleOf("900_t", broken)));
      expect(await row(client)).to.deep.equal(["failed 5 7 900_t 0 0 f"]);
      const summary = "SELECT error_summary FROM public.migration_sessions";
      const [errors] = await column<Record<string, unknown>[]>(client, summary);
      expect(errors!.map((error) => ({ ...error, at: typeof error["at"] }))).to.deep.equal([
        {
          step: "900_t",
          at: "string",
          attempt: 1,
          what: 'PostgreSQL refused: duplicate key value violates unique constraint "t_pkey"',
          where: "sql/900_t/up.sql:2: INSERT INTO public.t VALUES (1), (1), public.t.t_pkey",
          sqlstate: "23505",
        },
      ]);
      expect(JSON.stringify(errors)).not.to.contain("Key (id)");
      expect(
        await column(client, "SELECT status FROM public.migration_session_steps WHERE step_name = '900_t'"),
      ).to.deep.equal(["failed"]);
      await stack.apply(await moduleOf("900_t", mended));
      expect(await row(client)).to.deep.equal(["in_progress 6 7 0 0 f"]);
      expect((await column<unknown[]>(client, summary))[0], "history stays").to.have.length(1);
      await stack.complete();
      expect(await row(client)).to.deep.equal(["completed 7 7 0 0 t"]);
    }));

  it("a step whose parts are not all there is not done", () =>
    withStack(async (stack, client) => {
      const indexes = "CREATE UNIQUE INDEX CONCURRENTLY t_idx ON public.t ((id / 10));";
      const files = { ...mended, up: mended.up.replace("(1)", "(1), (2)"), indexes };
      await refusalOf(stack.apply(await moduleOf("900_t", files)));
      expect(await row(client)).to.deep.equal(["failed 5 7 900_t 0 0 f"]);
      await client.query("DELETE FROM public.t WHERE id = 2");
      await stack.apply(await moduleOf("900_t", files));
      expect(await row(client)).to.deep.equal(["in_progress 6 7 0 0 f"]);
      expect(
        await column(
          client,
          "SELECT concat_ws(' ', status, ended_at IS NOT NULL) FROM public.migration_session_steps WHERE step_name = '900_t'",
        ),
      ).to.deep.equal(["done t"]);
    }));

  it("what a killed run left out is made good by the next step", () =>
    withStack(async (stack, client, engine) => {
      // As if killed between the step's commit and the row's.
      await engine.apply(await moduleOf("900_t", mended));
      expect(await row(client)).to.deep.equal(["in_progress 5 7 0 0 f"]);
      await stack.apply(await moduleOf("901_x", { up: "" }));
      expect(await row(client)).to.deep.equal(["in_progress 7 7 0 0 f"]);
    }));

  it("a rollback that fails leaves the session's id in the ledger", () =>
    withStack(async (stack, client, engine) => {
      const { id } = await stack.open();
      await refusalOf(
        engine.write("MigrationSession", "session", (fenced) =>
          attempt(fenced, { kind: "MigrationSession", state: "undoing" }, "done", () =>
            Promise.reject(new GuardianError("unexpected", { what: "no" })),
          ),
        ),
      );
      expect(
        await engine.host.read((db) => readMigrationSession(db, engine.urn("MigrationSession", "session"))),
      ).to.have.property("id", id);
      await stack.rollBack();
      expect(await row(client)).to.deep.equal(["rolled_back 5 7 0 0 t"]);
    }));

  it("is rolled back at the end, waits in the archive, and a new life opens a new one", () =>
    withStack(async (stack, client) => {
      const { id } = await stack.open();
      await stack.complete();
      await stack.complete(false);
      await stack.rollBack();
      await stack.rollBack();
      expect(
        await column(client, "SELECT status || ' ' || (completed_at IS NOT NULL) FROM public.migration_sessions"),
      ).to.deep.equal(["rolled_back true"]);
      for (const name of [...before].reverse()) await stack.undo(name);
      await stack.applyReal(...before);
      const next = await stack.open();
      expect(next.id).not.to.equal(id);
      expect(await column(client, "SELECT status FROM public.migration_sessions ORDER BY created_at")).to.deep.equal([
        "rolled_back",
        "in_progress",
      ]);
      await stack.complete();
      expect(await column(client, "SELECT status FROM public.migration_sessions ORDER BY created_at")).to.deep.equal([
        "rolled_back",
        "completed",
      ]);
      const old = "SELECT count(*) FROM public.migration_session_steps WHERE session_id = $1";
      expect(await column(client, old, [id])).to.deep.equal(["6"]);
    }));

  it("whose row somebody deleted is not made anew in silence", () =>
    withStack(async (stack, client) => {
      await client.query("DELETE FROM public.migration_sessions");
      const said = await refusalOf(stack.open());
      expect(said.what).to.equal(
        "the session's row is gone from public.migration_sessions, though the ledger says that it was made",
      );
    }));

  it("that was begun and never committed is made by the next run", () => {
    const work = async (engine: Engine, db: V6): Promise<void> => {
      const [stack, client] = [new Stack(engine), await db.connect()];
      await client.query("ALTER TABLE public.migration_sessions ADD CONSTRAINT no CHECK (total_steps <> 7)");
      await stack.open().catch(() => undefined);
      expect(await engine.states("MigrationSession", "session")).to.deep.equal({ "": "planned" });
      await client.query("ALTER TABLE public.migration_sessions DROP CONSTRAINT no");
      await stack.open();
      expect(await row(client)).to.deep.equal(["in_progress 5 7 0 0 f"]);
    };
    return withEngine(work, { modules: before });
  });
});
