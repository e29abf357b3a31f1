import { choice, list, optional } from "./shape";

const security = [
  "definitions",
  "row-security",
  "functions",
  "views",
  "permissions",
  "strangers",
  "sampled-users",
] as const;

const working = ["consent-flow", "document-pipeline", "notification-once", "fhir-build"] as const;

const together = ["flag-share", "patient-journey", "care-team-journey", "operations"] as const;

/**
 * The checks of each gate by name, in the order in which they are told: what the program declares, and guardian:accept may
 * name. engine/gates has what each does; tests/engine/gates/checks.test.ts holds the two together.
 */
export const gateChecks = {
  before: [
    "v6",
    "rights",
    "extensions",
    "volumes",
    "transactions",
    "replication",
    "neighbours",
    "indexes",
    "bloat",
    "connections",
    "backup-room",
    "collations",
    "wraparound",
    "checksums",
    "unfinished",
    "v7",
    "backup",
    "api-endpoints",
    "performance-baseline",
  ],
  schema: [...security, ...working],
  data: ["moved", "v6-definitions", "v6-rows", "v6-cells", "v6-written"],
  end: [
    ...security,
    ...working,
    ...together,
    "api-endpoints",
    "external-systems",
    "user-acceptance",
    "user-experience",
    "documentation-updated",
    "support-trained",
    "performance",
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** A boundary between stages. */
export type Gate = keyof typeof gateChecks;

/** In the order of the stages: before anything is changed, and after the schema, data and deployment stage. */
export const gateNames = Object.keys(gateChecks) as readonly Gate[];

/** The input of what comes after gates. */
export const behindInput = {
  behind: optional(
    list(
      choice(gateNames, "A gate."),
      "Gates without which it is refused: by the ledger each must have passed for what is there, whatever else of the graph runs.",
    ),
  ),
};
