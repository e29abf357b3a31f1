import { each, integer, list, optional, otherwise, secret, standing, uuid, within } from "../spec";

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
export type FlagName = (typeof flagNames)[number];

const users = list(uuid("A user's id."), "Users who have the flag.", "a list of uuids");

export const rolloutKeys = {
  rollout: otherwise(
    {},
    each(
      flagNames,
      within(0, 100, integer("Per cent.")),
      "Per flag the per cent of users who have it. A flag that is not named is off.",
    ),
  ),
  allowList: otherwise(
    {},
    secret(
      each(
        flagNames,
        standing(users, (ids) => [...new Set(ids)]),
        "Per flag the users who have it whatever the percentage. A secret in the state.",
      ),
    ),
  ),
  acknowledge: optional(
    uuid(
      "The id of the newest emergency rollback's session, after which flags may be switched on again; it covers the older ones. The next up notes it in the ledger, and it may be taken out then. Empty for none.",
    ),
  ),
};
