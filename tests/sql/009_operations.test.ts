import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Client } from "pg";
import type { Queryable } from "../../engine/base/sql";
import { readRollbacks, waiting as unacknowledged } from "../../engine/emergency";
import { count, describeLifecycle, expectRefusal, testOn, upOf, value, withModules } from "../support/modules";
import { verifyOf } from "./every_module";
import { asOperator, modules, records } from "./009_operator";

/** The rollback that stops the stack from switching anything on, as the stack finds it. */
async function waiting(client: Client): Promise<string | undefined> {
  const queryable: Queryable = {
    query: (text, values) => client.query(text, values ? [...values] : []),
    script: () => Promise.reject(new Error("not needed")),
  };
  return unacknowledged(await readRollbacks(queryable))[0]?.id;
}

const test = testOn(modules);

describe("009_operations", function () {
  this.timeout(60_000);

  describeLifecycle("009_operations", {
    "ALTER TABLE public.v6_row_counts DISABLE ROW LEVEL SECURITY": /v6_row_counts: NO row security/,
    "GRANT SELECT ON public.v6_query_times TO service_role": /service_role may SELECT/,
    "GRANT EXECUTE ON FUNCTION public.emergency_rollback_to_v6() TO authenticated":
      /emergency_rollback_to_v6\(\): authenticated may EXECUTE/,
    "GRANT EXECUTE ON FUNCTION public.assess_v6_installation() TO PUBLIC": /PUBLIC may EXECUTE/,
    "GRANT EXECUTE ON FUNCTION public.time_v6_queries(int, text[]) TO guardian_operator":
      /operators may execute time_v6_queries/,
    "ALTER FUNCTION public.reset_feature_flag(text) RESET search_path": /search_path NOT pinned/,
    "ALTER FUNCTION public.validate_v7_migration() SECURITY INVOKER": /missing \[.*validate_v7_migration\(\): definer/,
    "DROP FUNCTION public.slow_queries(int)": /missing \[public\.slow_queries/,
    "DELETE FROM public.v6_row_counts WHERE entity = 'Vitals'": /not counted: public\.patient_vitals/,
  });

  test("S-16: operators execute all of it, helpers aside; nobody else anything", async (client) => {
    const { rows } = await client.query<{ line: string }>(
      `SELECT r.rolname || ' ' || p.proname AS line FROM pg_proc p, pg_roles r
             WHERE p.pronamespace = 'public'::regnamespace AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
               AND r.rolname IN ('anon', 'authenticated', 'service_role', 'guardian_operator', 'authenticator')
               AND p.proname ~ 'v6|v7|rollback|slow_queries|reindex|indexes_to|migration_status|baseline|_flag_status|reset_feature'
             ORDER BY 1`,
    );
    expect(rows.map((row) => row.line)).to.deep.equal(
      [
        "assess_v6_details",
        "assess_v6_installation",
        "emergency_rollback_to_v6",
        "feature_flag_status",
        "indexes_to_rebuild",
        "migration_status",
        "record_performance_baseline",
        "reindex_statement",
        "reset_feature_flag",
        "slow_queries",
        "test_v7_clinical_performance",
        "test_v7_performance",
        "validate_v7_migration",
      ].map((name) => `guardian_operator ${name}`),
    );
  });

  it("makes no role: where guardian_operator is absent only the owner may execute it", async () => {
    await withModules(modules.slice(0, 3), async (client, db) => {
      const admin = await db.connect("admin");
      await admin.query("BEGIN");
      await admin.query("REASSIGN OWNED BY guardian_operator TO postgres; DROP OWNED BY guardian_operator");
      await admin.query("ALTER ROLE guardian_operator RENAME TO somebody_else");
      await admin.query("SET LOCAL ROLE guardian_migrator");
      for (const script of [upOf("009_operations"), verifyOf("009_operations")]) await admin.query(script);
      const granted = await value(
        admin,
        "SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) a WHERE p.proname = 'slow_queries' AND a.grantee <> p.proowner",
      );
      await admin.query("ROLLBACK");
      expect(granted).to.equal("0");
      expect(await value(client, "SELECT to_regclass('public.v6_row_counts')")).to.equal(null);
    });
  });

  test("S-1: assess_v6_installation looks at every v6 table, its columns and schema, http and the server", async (client, db) => {
    const assess = async (what = "installation"): Promise<Record<string, string[]>> => {
      const found = await asOperator(db, (c) => records(c, `SELECT * FROM assess_v6_${what}()`));
      return Object.fromEntries<string[]>(found.map(([item = "", ...rest]) => [item, rest]));
    };
    const all = await assess();
    expect(Object.keys(all), "the guide's lines, no more").to.deep.equal([
      "Database Extensions",
      "Core Tables",
      "User Data Count",
    ]);
    expect(all["Core Tables"]).to.deep.equal(["Present", "Ready", "None"]);
    expect(all["User Data Count"]).to.deep.equal(["300 users", "Data Present", "Plan user data migration"]);
    const more = await assess("details");
    expect(more["Row Counts"]?.[0]).to.match(/^300 users, 30 documents, \d+ medications, .*, \d+ providers$/);
    expect(more["Document Normalization"]?.[0]).to.equal("Extension http missing");
    expect(more["Server Version"]?.slice(1)).to.deep.equal(["Ready", "None"]);
    expect(more["v7 Features"]).to.deep.equal(["0 flags on", "Note", "None"]);
    // A table of the same name elsewhere is no v6, and neither is one with other columns.
    await client.query("ALTER TABLE public.documents RENAME TO gone");
    await (await db.connect("admin")).query("CREATE TABLE extensions.documents (id int)");
    expect((await assess())["Core Tables"]).to.deep.equal([
      "Missing: public.documents",
      "Core Migration Required",
      "Deploy core schema first",
    ]);
    await client.query("ALTER TABLE public.gone RENAME TO documents");
    await client.query("ALTER TABLE public.documents RENAME original_name TO filename");
    expect((await assess())["Core Tables"]).to.deep.equal([
      "Not as v6 shipped: public.documents",
      "Core Migration Required",
      "Find out which schema this is",
    ]);
  });

  test("S-14 S-15: the emergency rollback empties all twelve flags, and the stack sees its session", async (client, db) => {
    const user = await value<string>(client, "SELECT id FROM auth.users LIMIT 1");
    await client.query("UPDATE public.feature_flags SET enabled = true, rollout_percentage = 50");
    await client.query(
      "UPDATE public.feature_flags SET enabled = false, enabled_for_users = ARRAY[$1::uuid] WHERE feature_name = 'event_sourcing'",
      [user],
    );
    await client.query(
      "INSERT INTO public.migration_sessions (migration_type, status, migration_environment) VALUES ('v6_to_v7', 'in_progress', 'staging')",
    );
    const said = await asOperator(db, (c) => value<string>(c, "SELECT emergency_rollback_to_v6()"));
    const id = /^Emergency rollback completed\. Session ID: ([0-9a-f-]{36})\. 12 of 12 flags changed\.$/.exec(said);
    expect(id, said).not.to.equal(null);
    expect(
      await count(
        client,
        "public.feature_flags WHERE NOT enabled AND rollout_percentage = 0 AND enabled_for_users = '{}'",
      ),
    ).to.equal(12);
    const { rows } = await client.query(
      `SELECT id, status, source_version, target_version, migration_environment, initiated_by, records_processed,
               completed_at IS NOT NULL AS ended FROM public.migration_sessions WHERE migration_type = 'v7_to_v6_rollback'`,
    );
    expect(rows).to.deep.equal([
      {
        id: id?.[1],
        status: "emergency_rollback",
        source_version: "v7.0",
        target_version: "v6.0",
        migration_environment: "staging",
        initiated_by: "guardian_operator",
        records_processed: "12",
        ended: true,
      },
    ]);
    expect(await waiting(client)).to.equal(id?.[1]);
  });

  test("S-16: it says how many flags it changed, none too, and works again in any state; the newest session counts", async (client, db) => {
    const run = () => asOperator(db, (c) => value<string>(c, "SELECT emergency_rollback_to_v6()"));
    expect(await run(), "nothing on").to.match(/0 of 12 flags changed\.$/);
    await client.query("DELETE FROM public.feature_flags WHERE feature_name <> 'fhir_integration'");
    await client.query("UPDATE public.feature_flags SET enabled = true");
    const last = await run();
    expect(last).to.match(/1 of 1 flags changed\.$/);
    expect(last).to.contain(await waiting(client));
  });

  test("S-6 K-13: flags go off even where the audit trail or the session table is broken", async (client, db) => {
    const run = () => asOperator(db, (c) => value<string>(c, "SELECT emergency_rollback_to_v6()"));
    const on = () => value(client, "SELECT count(*) FROM public.feature_flags WHERE enabled");
    await client.query("UPDATE public.feature_flags SET enabled = true");
    await client.query("ALTER TABLE public.audit_log RENAME TO audit_log_gone");
    expect(await run()).to.match(/^Emergency rollback completed\. Session ID: .* Not audited \(SQLSTATE 42P01\)\.$/);
    expect(await on()).to.equal("0");
    expect(
      await count(client, "pg_trigger WHERE tgrelid = 'public.feature_flags'::regclass AND tgenabled <> 'O'"),
      "triggers are back",
    ).to.equal(0);
    await client.query("ALTER TABLE public.audit_log_gone RENAME TO audit_log");
    await client.query("UPDATE public.feature_flags SET enabled = true");
    await client.query("ALTER TABLE public.migration_sessions ADD forgotten int");
    await client.query(
      "ALTER TABLE public.migration_sessions ADD CONSTRAINT forgotten CHECK (forgotten IS NOT NULL) NOT VALID",
    );
    expect(await run()).to.match(/could not be recorded \(SQLSTATE 23514\).*12 of 12 flags changed/);
    expect(await on()).to.equal("0");
  });

  test("waits for another transaction on the flags for a bounded time", async (client, db) => {
    await client.query("ALTER FUNCTION public.emergency_rollback_to_v6() SET lock_timeout = '100ms'");
    await client.query("UPDATE public.feature_flags SET enabled = true");
    const other = await db.connect();
    await other.query("BEGIN; SELECT FROM public.feature_flags FOR UPDATE");
    await expectRefusal(
      "55P03",
      asOperator(db, (c) => c.query("SELECT emergency_rollback_to_v6()")),
    );
    await other.query("ROLLBACK");
    expect(await count(client, "public.migration_sessions")).to.equal(0);
  });

  test("16-10 a flag that somebody is just switching on is switched off with the others", async (client, db) => {
    const other = await db.connect();
    const pid = await value<number>(other, "SELECT pg_backend_pid()");
    await other.query("BEGIN; UPDATE public.feature_flags SET enabled = true WHERE feature_name = 'multi_tenancy'");
    for (const call of ["emergency_rollback_to_v6()", "reset_feature_flag('multi_tenancy')"]) {
      const off = asOperator(db, (c) => c.query(`SELECT ${call}`));
      while (
        (await value(client, "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", [pid])) ===
          "0" &&
        (await Promise.race([off.then(() => "done"), sleep(5)])) !== "done"
      );
      await other.query("COMMIT");
      await off;
      expect(await count(client, "public.feature_flags WHERE enabled"), call).to.equal(0);
      await other.query("BEGIN; UPDATE public.feature_flags SET enabled = true WHERE feature_name = 'multi_tenancy'");
    }
  });

  test("a flag's status names who changed it last; reset turns off this one, keeps its configuration and is loud about a typing error", async (client, db) => {
    await client.query(
      "UPDATE public.feature_flags SET enabled = true, rollout_percentage = 7 WHERE feature_name IN ('event_sourcing', 'multi_tenancy')",
    );
    const status = (flag: string): Promise<string[][]> =>
      asOperator(db, (c) =>
        records(
          c,
          "SELECT enabled, rollout_percentage, enabled_for_users, is_seed, last_changed_by FROM feature_flag_status($1)",
          [flag],
        ),
      );
    expect(await status("event_sourcing")).to.deep.equal([["true", "7", "[]", "false", "guardian_migrator"]]);
    const reset = (flag: string): Promise<boolean> =>
      asOperator(db, (c) => value<boolean>(c, "SELECT reset_feature_flag($1)", [flag]));
    expect(await reset("event_sourcing")).to.equal(true);
    expect(await reset("event_sourcing"), "again").to.equal(false);
    expect(await status("event_sourcing")).to.deep.equal([["false", "0", "[]", "true", "guardian_operator"]]);
    expect(await status("multi_tenancy")).to.have.nested.property("0.0", "true");
    await expectRefusal("22023", reset("event_sorcing"));
    expect(await asOperator(db, (c) => value(c, "SELECT count(*) FROM feature_flag_status()"))).to.equal("12");
  });

  test("S-21: migration_status gives the guide's columns of the latest session", async (client, db) => {
    await client.query(
      `INSERT INTO public.migration_sessions (migration_type, status, created_at, records_processed)
             VALUES ('v6_to_v7', 'rolled_back', now() - interval '1 day', 1), ('v6_to_v7', 'completed', now(), 598)`,
    );
    const guide =
      "SELECT migration_type, status, records_processed, records_failed, error_summary FROM migration_status()";
    expect(await asOperator(db, (c) => records(c, guide))).to.deep.equal([["v6_to_v7", "completed", "598", "0", "[]"]]);
  });
});
