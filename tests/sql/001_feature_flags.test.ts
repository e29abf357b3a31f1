import { expect } from "chai";
import { describeLifecycle, testOn, value } from "../support/modules";
import { enabled, flag, having, modules, set, user } from "./001_flags";

const test = testOn(modules);

describe("001_feature_flags", function () {
  this.timeout(60_000);

  describeLifecycle("001_feature_flags", {
    "ALTER TABLE public.feature_flags DISABLE ROW LEVEL SECURITY": /NO row security/,
    "GRANT SELECT ON public.feature_flags TO authenticated": /not expected \[.*authenticated may SELECT/,
    "GRANT EXECUTE ON FUNCTION public.enable_feature_for_user(text, uuid, int) TO anon": /anon may EXECUTE/,
    "GRANT EXECUTE ON FUNCTION public.feature_is_on(text, uuid) TO authenticated":
      /feature_is_on.*authenticated may EXECUTE/,
    "ALTER FUNCTION public.is_feature_enabled_for_user(text, uuid) RESET ALL": /search_path NOT pinned/,
    "ALTER TABLE public.feature_flags DISABLE TRIGGER feature_flags_audit_update":
      /feature_flags_audit_update .*DISABLED/,
    "DELETE FROM public.feature_flags WHERE feature_name = 'multi_tenancy'": /missing flags: multi_tenancy/,
    "DROP FUNCTION public.disable_feature_for_user": /missing \[public\.disable_feature_for_user/,
    "ALTER TABLE public.feature_flags DROP CONSTRAINT feature_flags_rollout_percentage_check":
      /missing \[.*percentage_check/,
  });

  test("delivers twelve flags, all off, with their configuration", async (client) => {
    const { rows } = await client.query(
      `SELECT feature_name, enabled, rollout_percentage, enabled_for_users, configuration
             FROM public.feature_flags ORDER BY created_at, feature_name`,
    );
    const off = { enabled: false, rollout_percentage: 0, enabled_for_users: [] };
    expect(rows).to.deep.equal([
      {
        ...off,
        feature_name: "advanced_analytics",
        configuration: { real_time_updates: false, predictive_analytics: true },
      },
      {
        ...off,
        feature_name: "ai_ml_integration",
        configuration: { confidence_threshold: 0.8, human_validation_required: true },
      },
      {
        ...off,
        feature_name: "data_portability_v2",
        configuration: { export_formats: ["fhir", "cda", "pdf", "csv"] },
      },
      {
        ...off,
        feature_name: "document_queue_v2",
        configuration: { priority_processing: true, dead_letter_queue: true },
      },
      {
        ...off,
        feature_name: "enhanced_consent",
        configuration: { require_explicit_consent: true, temporal_consent: true },
      },
      {
        ...off,
        feature_name: "event_sourcing",
        configuration: { replay_capability: true, event_retention_days: 2555 },
      },
      {
        ...off,
        feature_name: "fhir_integration",
        configuration: {
          supported_resources: ["Patient", "Observation", "MedicationRequest", "DocumentReference"],
        },
      },
      {
        ...off,
        feature_name: "mobile_optimization",
        configuration: { offline_capability: false, progressive_loading: true },
      },
      {
        ...off,
        feature_name: "multi_tenancy",
        configuration: { tenant_isolation_level: "complete", cross_tenant_sharing: false },
      },
      {
        ...off,
        feature_name: "real_time_collaboration",
        configuration: { max_concurrent_users: 10, session_timeout_minutes: 30 },
      },
      {
        ...off,
        feature_name: "user_preferences_v2",
        configuration: { accessibility_features: true, notification_controls: true },
      },
      {
        ...off,
        feature_name: "zero_trust_security",
        configuration: { mfa_required: false, device_trust_required: true },
      },
    ]);
    const same = `SELECT count(*) FROM public.feature_flags f JOIN public.feature_flag_seed() s USING (feature_name)
            WHERE (f.enabled, f.rollout_percentage, f.enabled_for_users, f.configuration, f.description)
              = (s.enabled, s.rollout_percentage, s.enabled_for_users, s.configuration, s.description)`;
    expect(await value(client, same), "rows equal to feature_flag_seed()").to.equal("12");
  });

  test("S-6 F-1: a flag can be changed after the module is there, and the change is in the audit trail", async (client) => {
    await set(client, "enabled = true, enabled_for_users = '{00000000-0000-4000-8000-0000000000aa}'");
    const { rows } = await client.query(
      "SELECT table_name, record_key, action, changed_columns, actor FROM public.audit_log",
    );
    expect(rows).to.deep.equal([
      {
        table_name: "public.feature_flags",
        record_key: flag,
        action: "UPDATE",
        changed_columns: ["enabled", "enabled_for_users"],
        actor: null,
      },
    ]);
    expect(await value(client, "SELECT string_agg(a::text, '') FROM public.audit_log a")).not.to.contain("0000aa");
  });

  test("S-7: enabled for testing with rollout 0 is on for the listed users and nobody else", async (client) => {
    await set(client, `enabled = true, rollout_percentage = 0, enabled_for_users = '{${user(7)}}'`);
    expect(await having(client, flag)).to.equal("1");
    expect(await value(client, enabled, [flag, user(7)])).to.equal(true);
  });

  test("S-15: enabled = false switches a feature off whatever rollout and list say", async (client) => {
    await set(client, `enabled = false, rollout_percentage = 100, enabled_for_users = '{${user(7)}}'`);
    expect(await having(client, flag)).to.equal("0");
  });

  test("S-17: rollout 0 takes an enabled feature from everybody but the listed users", async (client) => {
    await set(client, "enabled = true, rollout_percentage = 100");
    expect(await having(client, flag)).to.equal("1000");
    await set(client, "rollout_percentage = 0");
    expect(await having(client, flag)).to.equal("0");
  });

  test("without a user only what is on for everybody is on; an unknown flag never is", async (client) => {
    await set(client, "enabled = true, rollout_percentage = 99");
    expect(await value(client, enabled, [flag, null])).to.equal(false);
    await set(client, "rollout_percentage = 100");
    expect(await value(client, enabled, [flag, null])).to.equal(true);
    expect(await value(client, enabled, ["no_such_flag", user(1)])).to.equal(false);
    expect(await value(client, enabled, [null, user(1)])).to.equal(false);
  });
});
