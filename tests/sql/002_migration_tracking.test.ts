import { expect } from "chai";
import { asRole } from "../support/postgres";
import {
  count,
  archived,
  describeLifecycle,
  expectRefusal,
  queryAs,
  refusal,
  testOn,
  value,
  valueAs,
} from "../support/modules";

const modules = ["000_audit_log", "002_migration_tracking"];
const guideInsert = `INSERT INTO migration_sessions (migration_type, source_version, target_version, initiated_by)
  VALUES ('v6_to_v7', 'v6.0', 'v7.0', current_user) RETURNING id`;

const test = testOn(modules);

describe("002_migration_tracking", function () {
  this.timeout(60_000);

  describeLifecycle("002_migration_tracking", {
    "ALTER TABLE public.migration_session_steps DISABLE ROW LEVEL SECURITY": /migration_session_steps: NO row security/,
    "GRANT SELECT ON public.migration_sessions TO anon": /anon may SELECT/,
    "GRANT UPDATE ON public.migration_sessions TO service_role": /service_role may UPDATE/,
    "ALTER TABLE public.migration_sessions DROP CONSTRAINT migration_sessions_status_check": /missing \[.*status_check/,
    "ALTER TABLE public.migration_session_steps DROP CONSTRAINT migration_session_steps_step_key":
      /missing \[.*step_key/,
    "ALTER TABLE public.migration_session_steps DROP CONSTRAINT migration_session_steps_session_id_fkey":
      /missing \[.*CASCADE/,
    "DROP TRIGGER migration_sessions_updated_at ON public.migration_sessions":
      /missing \[.*migration_sessions_updated_at/,
    "ALTER FUNCTION public.set_migration_duration() RESET ALL": /search_path NOT pinned/,
  });

  test("takes the guide's insert, with the guide's defaults", async (client) => {
    await client.query(guideInsert);
    const { rows } = await client.query(
      `SELECT migration_type, status, completed_steps, records_processed, records_failed, error_summary,
               initiated_by, migration_environment FROM public.migration_sessions`,
    );
    expect(rows).to.deep.equal([
      {
        migration_type: "v6_to_v7",
        status: "started",
        completed_steps: 0,
        records_processed: "0",
        records_failed: "0",
        error_summary: [],
        initiated_by: "guardian_migrator",
        migration_environment: "production",
      },
    ]);
  });

  test("S-14: emergency_rollback is a status that a session can have", async (client) => {
    const id = await value<string>(
      client,
      `INSERT INTO public.migration_sessions (migration_type, status, notes)
             VALUES ('v7_to_v6_rollback', 'emergency_rollback', 'Emergency rollback initiated') RETURNING id`,
    );
    expect(id).to.match(/^[0-9a-f-]{36}$/);
    await expectRefusal("23514", client.query("UPDATE public.migration_sessions SET status = 'anything'"));
  });

  test("S-21: a session can be kept current step by step, and the latest one is found by an index", async (client) => {
    const id = await value<string>(client, guideInsert);
    await client.query("UPDATE public.migration_sessions SET started_at = now() - interval '150 seconds'");
    await client.query(
      `INSERT INTO public.migration_session_steps (session_id, step_name, kind) VALUES ($1, 'consents', 'DataMigration')`,
      [id],
    );
    const twice = client.query(
      `INSERT INTO public.migration_session_steps (session_id, step_name, kind) VALUES ($1, 'consents', 'DataMigration')`,
      [id],
    );
    await expectRefusal("23505", twice, "one row a step");
    await client.query(
      `UPDATE public.migration_session_steps SET status = 'done', ended_at = clock_timestamp(), records_processed = 5000000000`,
    );
    await client.query(
      `UPDATE public.migration_sessions s SET status = 'completed', completed_at = now(), completed_steps = 1,
               records_processed = t.records_processed FROM public.migration_session_steps t WHERE t.session_id = s.id`,
    );
    const { rows } = await client.query(
      `SELECT status, duration_minutes, records_processed, updated_at > created_at AS touched FROM public.migration_sessions`,
    );
    expect(rows).to.deep.equal([
      { status: "completed", duration_minutes: 2, records_processed: "5000000000", touched: true },
    ]);
    await client.query("UPDATE public.migration_sessions SET status = 'in_progress', completed_at = NULL");
    expect(await value(client, "SELECT duration_minutes FROM public.migration_sessions")).to.equal(null);
    await client.query("UPDATE public.migration_sessions SET completed_at = started_at - interval '1 hour'");
    expect(await value(client, "SELECT duration_minutes FROM public.migration_sessions"), "clocks disagree").to.equal(
      null,
    );
    await client.query("SET enable_seqscan = off");
    const { rows: plan } = await client.query<{ "QUERY PLAN": string }>(
      `EXPLAIN (COSTS OFF) SELECT status FROM public.migration_sessions WHERE migration_type = 'v6_to_v7'
             ORDER BY created_at DESC LIMIT 1`,
    );
    expect(plan.map((line) => line["QUERY PLAN"]).join("\n"))
      .to.match(/migration_sessions_type_created_idx/)
      .and.not.match(/Sort/);
  });

  test("F-7: operators and service_role read sessions, users do not, and nobody looks into auth.users for it", async (client, db) => {
    const id = await value<string>(client, guideInsert);
    await client.query(
      "INSERT INTO public.migration_session_steps (session_id, step_name, kind) VALUES ($1, 'a', 'b')",
      [id],
    );
    const admin = await db.connect("admin");
    const read =
      "SELECT count(*) FROM public.migration_sessions s JOIN public.migration_session_steps t ON t.session_id = s.id";
    for (const role of ["guardian_operator", "service_role"]) {
      expect(await valueAs(admin, role, null, read), role).to.equal("1");
      const said = await refusal(queryAs(admin, role, null, "UPDATE public.migration_sessions SET notes = ''"));
      expect(said.message, role).to.equal("permission denied for table migration_sessions");
    }
    for (const role of ["anon", "authenticated"]) {
      const said = await refusal(
        asRole(admin, role, null, (c) => c.query(read), { app_metadata: { role: "developer" } }),
      );
      expect(said.message, role).to.equal("permission denied for table migration_sessions");
    }
  });

  test("steps go with their session, and both wait in the archive after a rollback", async (client, _, engine) => {
    for (let i = 0; i < 2; i++) {
      const id = await value<string>(client, guideInsert);
      await client.query(
        "INSERT INTO public.migration_session_steps (session_id, step_name, kind) VALUES ($1, 'a', 'b')",
        [id],
      );
      if (i === 0) await client.query("DELETE FROM public.migration_sessions WHERE id = $1", [id]);
    }
    expect(await count(client, "public.migration_session_steps")).to.equal(1);
    await engine.undo("002_migration_tracking");
    expect(await count(client, await archived(client, "migration_session_steps"))).to.equal(1);
  });
});
