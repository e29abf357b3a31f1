import { tried } from "./tried";

/** Never the name of a feature. */
const trialFlag = "guardian_gate_trial";

/** What 009 gives an operator, tried and acted on: its tables are read by nobody otherwise. */
export const operations = tried({
  name: "operations",
  asks: "whether what an operator runs works and finds nothing amiss: assessment, status, indexes; and whether the emergency rollback switches every feature off",
  needs: [
    "public.assess_v6_installation",
    "public.emergency_rollback_to_v6",
    "public.indexes_to_rebuild",
    "public.feature_flag_status",
  ],
  async run(steps) {
    // It counts the accounts, which takes long where there are many millions.
    const assessed = await steps.inTime<{ assessment_item: string; migration_readiness: string }>(
      "the installation is assessed",
      "server",
      "SELECT assessment_item, migration_readiness FROM public.assess_v6_installation()",
    );
    if (assessed) steps.hold("it has the guide's three lines", assessed.length === 3);
    for (const { assessment_item: item, migration_readiness: readiness } of assessed ?? [])
      steps.hold(`${item}: ${readiness}`, /^(Ready|Data Present|No Data)$/.test(readiness));
    const indexes = await steps.ask<{ index_name: string; reason: string; statement: string }>(
      "the indexes are looked through",
      "server",
      "SELECT index_name, reason, statement FROM public.indexes_to_rebuild()",
    );
    for (const { index_name: index, reason, statement } of indexes)
      steps.warnings.push({ line: `${index}: ${reason}`, mend: `${statement};` });
    await steps.ask("the status of the migration is read", "server", "SELECT * FROM public.migration_status()");
    // emergency_rollback_to_v6() waits 10 s for these locks: taken here first, they are waited for as briefly as a trial may.
    const lock = "SELECT f.feature_name FROM public.feature_flags f ORDER BY 1 FOR UPDATE";
    const flags = await steps.ask("the flags are held", "server", lock);
    const sessions = "LOCK TABLE public.migration_sessions IN ROW EXCLUSIVE MODE";
    await steps.ask("so is the table of sessions, as whoever writes to it holds it", "server", sessions);
    const make =
      "INSERT INTO public.feature_flags (feature_name, description, enabled, rollout_percentage) VALUES ($1, 'made by a gate, never committed', true, 100)";
    await steps.ask("a feature is on for everybody", "server", make, [trialFlag]);
    const on = "SELECT public.is_feature_enabled_for_user($1, pg_catalog.gen_random_uuid())";
    await steps.expect("it is on", "server", true, on, [trialFlag]);
    const run = "SELECT public.emergency_rollback_to_v6()";
    const said = await steps.value<string>("the emergency rollback is run", "server", run);
    const session = /^Emergency rollback completed\. Session ID: ([0-9a-f-]{36})\./.exec(said ?? "")?.[1];
    steps.hold("it names its session", session !== undefined);
    await steps.expect("the feature is off", "server", false, on, [trialFlag]);
    const still =
      "SELECT count(*)::integer FROM public.feature_flags WHERE enabled OR rollout_percentage > 0 OR enabled_for_users <> '{}'";
    await steps.expect("every feature is", "server", 0, still);
    const left = "SELECT status FROM public.migration_sessions WHERE id = $1";
    await steps.expect("the session is left, of which the stack asks", "server", "emergency_rollback", left, [session]);
    const status = "SELECT count(*) >= $1 FROM public.feature_flag_status()";
    await steps.expect("the status has every flag", "server", true, status, [flags.length + 1]);
  },
});
