import { sql, type Fault } from "./fault";

/** Of a v6 whose baseline was measured, with a module that touches it. */
export const performance: readonly Fault[] = [
  {
    check: "performance",
    at: "end",
    fault: "an index dropped",
    says: /laboratory results: failed by pages and plan: .*; another plan than then: .*Seq Scan patient_lab_results/,
    plant: sql("DROP INDEX public.patient_lab_results_recent_idx"),
    undo: sql("CREATE INDEX patient_lab_results_recent_idx ON public.patient_lab_results (user_id, test_date DESC)"),
  },
  {
    check: "performance",
    at: "end",
    fault: "a slower plan: an index in its place that finds the rows of everybody",
    says: /laboratory results: failed by pages and plan/,
    plant: sql(
      `DROP INDEX public.patient_lab_results_recent_idx;
       CREATE INDEX by_date ON public.patient_lab_results (test_date, user_id)`,
    ),
    undo: sql(
      `DROP INDEX public.by_date;
       CREATE INDEX patient_lab_results_recent_idx ON public.patient_lab_results (user_id, test_date DESC)`,
    ),
  },
];

/** Of a v6 to which nothing was done yet, where nothing may be left open. */
export const baseline: readonly Fault[] = [
  {
    check: "performance-baseline",
    at: "before",
    fault: "a module that touches v6, and that no gate was asked before",
    verdict: "could not run",
    says: /^could not run: 005_user_preferences stands already: what is measured now is not v6 alone/,
    // That its endpoints respond as before is to be signed off from then on.
    also: ["api-endpoints"],
    stack: { strict: true },
    plant: async ({ admin, engine }) => {
      await admin.query("DELETE FROM guardian_migration.step WHERE kind = 'Gate'");
      await engine.applyReal("005_user_preferences");
    },
  },
];
