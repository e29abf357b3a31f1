import { like, map, nearest, optional, otherwise, record, ruled, text, type Complaint } from "../spec";

/** The flags that module 001 seeds. */
export const flagNames = [
  "fhir_integration",
  "enhanced_consent",
  "user_preferences_v2",
  "document_queue_v2",
  "event_sourcing",
  "real_time_collaboration",
  "ai_ml_integration",
  "advanced_analytics",
  "multi_tenancy",
  "mobile_optimization",
  "data_portability_v2",
  "zero_trust_security",
] as const;

/** What feature_flags_feature_name_check of module 001 takes. */
export const flagName = /^[a-z][a-z0-9_]{1,62}$/;

const declaration = record(
  {
    description: like(
      /^(?=.*\S)\P{Cc}{1,500}$/u,
      "one line of at most 500 characters",
      "What the flag is for, as it stands in its row.",
    ),
    module: optional({
      ...text("The module that has the feature: a stack that has no such module is refused."),
      expected: "a folder of sql/, such as 004_enhanced_consent",
    }),
  },
  "A flag.",
);

/**
 * Flags that the stack itself declares.
 * @param modules the folders of sql/; undefined for who only reads another key: any name passes
 */
export const flagKeys = (modules: readonly string[] | undefined) => ({
  flags: otherwise(
    {},
    ruled(
      map(
        declaration,
        "Flags besides those that module 001 delivers: the stack makes their rows in the deployment stage, all off, and removes them. guardian:rollout and guardian:allowList then know them.",
      ),
      (found) => Object.entries(found).flatMap(([name, flag]) => complaints(name, flag?.module, modules)),
    ),
  ),
});

function complaints(name: string, module: string | undefined, modules: readonly string[] | undefined): Complaint[] {
  const wrong: Complaint[] = [];
  if (!flagName.test(name)) {
    const rule = "2 to 63 small letters, digits and _, a letter first";
    wrong.push({ path: [name], text: `is no name of a flag: it must be ${rule}` });
  }
  if ((flagNames as readonly string[]).includes(name)) {
    wrong.push({ path: [name], text: "is a flag of module 001 already: take it out, guardian:rollout sets it" });
  }
  if (module !== undefined && modules && !modules.includes(module)) {
    wrong.push({ path: [name, "module"], text: `is no folder of sql/: the nearest is ${nearest(module, modules)}` });
  }
  return wrong;
}
