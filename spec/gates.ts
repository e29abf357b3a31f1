import { choice, list, optional } from "./shape";

/** What must hold as long as v7's objects are there. */
export const security = [
  "definitions",
  "row-security",
  "functions",
  "views",
  "permissions",
  "strangers",
  "sampled-users",
] as const;

/** What v7's functions must do as soon as they are there, tried and rolled back. */
export const working = ["consent-flow", "document-pipeline", "notification-once", "fhir-build"] as const;

/** And at the end, when flags are set and data is there. */
export const together = ["flag-share", "patient-journey", "care-team-journey", "operations"] as const;

/**
 * The checks of each gate by name, in the order in which they are told: what the program declares, and guardian:accept may
 * name. engine/gates has what each does, in a file of its name.
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

/** A check's name. */
export type CheckName = (typeof gateChecks)[Gate][number];

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
