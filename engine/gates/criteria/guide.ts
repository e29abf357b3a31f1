import { security, together, working, type CheckName } from "../../../spec/gates";

/** A line of the guide's checklists, and which checks answer it. */
export interface GuideLine {
  readonly section: "6.1" | "6.2" | "6.3" | "8" | "8, rollback";
  /** In the guide's words. */
  readonly line: string;
  /** By their names; one that failed fails the line. None: nothing answers it yet. */
  readonly checks: readonly CheckName[];
}

const of = (section: GuideLine["section"], lines: Readonly<Record<string, GuideLine["checks"]>>): GuideLine[] =>
  Object.entries(lines).map(([line, checks]) => ({ section, line, checks }));

/** What keeps people out: all of security but what says whether v7 is there as it was deployed. */
const controls = security.filter((name) => name !== "definitions");

/** What is called and rolled back. */
const called = [...working, ...together];

/** Every line of the guide's three checklists (6) and of its criteria (8), in its order; docs/gates.md has the same table. */
export const guide: readonly GuideLine[] = [
  ...of("6.1", {
    "Backup Verification": ["backup"],
    "Performance Baseline": ["performance-baseline"],
    "Data Integrity Check": ["v6", "indexes", "checksums", "collations"],
    "User Access Test": ["v6", "api-endpoints"],
    "API Functionality": ["api-endpoints"],
  }),
  ...of("6.2", {
    "Schema Migration": ["definitions"],
    "Data Migration": ["moved", "v6-rows", "v6-cells"],
    "Index Performance": ["performance"],
    "RLS Policies": ["row-security", "strangers", "sampled-users"],
    "Feature Flags": ["flag-share"],
  }),
  ...of("6.3", {
    "End-to-End Workflows": ["patient-journey", "care-team-journey", "notification-once"],
    "FHIR Integration": ["fhir-build", "external-systems"],
    "Consent Management": ["consent-flow"],
    "Document Processing": ["document-pipeline"],
    "Performance Validation": ["performance"],
    "Security Audit": security,
    "User Acceptance": ["user-acceptance"],
  }),
  ...of("8", {
    "All v7 modules deployed successfully": ["definitions"],
    "Data migration 100% complete with validation": ["moved", "v6-rows", "v6-cells", "v6-written", "v6-definitions"],
    "Performance within 10% of v6 baseline": ["performance"],
    "All security controls operational": controls,
    "User acceptance testing passed": ["user-acceptance"],
    "Documentation updated": ["documentation-updated"],
    "Support team trained": ["support-trained"],
  }),
  ...of("8, rollback", {
    "Data loss > 0.1%": ["v6-rows", "moved"],
    "Performance degradation > 25%": ["performance"],
    "Security vulnerability discovered": controls,
    "Critical functionality broken": [...called, "api-endpoints", "external-systems"],
    "User experience severely impacted": ["user-experience"],
  }),
];
