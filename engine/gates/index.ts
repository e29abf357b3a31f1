import { gateChecks, type CheckName, type Gate } from "../../spec/gates";
import type { Check } from "./check";
import { backup } from "./before/backup";
import { room } from "./before/backup-room";
import { bloat } from "./before/bloat";
import { checksums } from "./before/checksums";
import { collations } from "./before/collations";
import { connections } from "./before/connections";
import { extensions } from "./before/extensions";
import { indexes } from "./before/indexes";
import { neighbours } from "./before/neighbours";
import { replication } from "./before/replication";
import { rights } from "./before/rights";
import { transactions } from "./before/transactions";
import { unfinished } from "./before/unfinished";
import { recognised } from "./before/v6";
import { taken } from "./before/v7";
import { volumes } from "./before/volumes";
import { wraparound } from "./before/wraparound";
import { apiEndpoints } from "./criteria/api-endpoints";
import { documentationUpdated } from "./criteria/documentation-updated";
import { externalSystems } from "./criteria/external-systems";
import { supportTrained } from "./criteria/support-trained";
import { userAcceptance } from "./criteria/user-acceptance";
import { userExperience } from "./criteria/user-experience";
import { careTeamJourney } from "./function/care-team-journey";
import { consentFlow } from "./function/consent-flow";
import { documentPipeline } from "./function/document-pipeline";
import { fhirBuild } from "./function/fhir-build";
import { flagShare } from "./function/flag-share";
import { notificationOnce } from "./function/notification-once";
import { operations } from "./function/operations";
import { patientJourney } from "./function/patient-journey";
import { slowdown } from "./performance/performance";
import { baseline } from "./performance/performance-baseline";
import { definitions } from "./security/definitions";
import { functions } from "./security/functions";
import { permissions } from "./security/permissions";
import { rowSecurity } from "./security/row-security";
import { sampledUsers } from "./security/sampled-users";
import { strangers } from "./security/strangers";
import { views } from "./security/views";
import { moved } from "./validation/moved";
import { cells } from "./validation/v6-cells";
import { definitions as v6Definitions } from "./validation/v6-definitions";
import { rows } from "./validation/v6-rows";
import { written } from "./validation/v6-written";

/**
 * Every check by its name, which is its file's too. The imports are written out, since the compiled plugin has no folders to
 * look into: a name of spec/gates.ts without a check does not compile, tests/engine/gates/checks.test.ts finds a file without a line.
 */
const checks: Readonly<Record<CheckName, Check>> = {
  v6: recognised,
  v7: taken,
  "api-endpoints": apiEndpoints,
  backup,
  "backup-room": room,
  bloat,
  "care-team-journey": careTeamJourney,
  checksums,
  collations,
  connections,
  "consent-flow": consentFlow,
  definitions,
  "document-pipeline": documentPipeline,
  "documentation-updated": documentationUpdated,
  extensions,
  "external-systems": externalSystems,
  "fhir-build": fhirBuild,
  "flag-share": flagShare,
  functions,
  indexes,
  moved,
  neighbours,
  "notification-once": notificationOnce,
  operations,
  "patient-journey": patientJourney,
  performance: slowdown,
  "performance-baseline": baseline,
  permissions,
  replication,
  rights,
  "row-security": rowSecurity,
  "sampled-users": sampledUsers,
  strangers,
  "support-trained": supportTrained,
  transactions,
  unfinished,
  "user-acceptance": userAcceptance,
  "user-experience": userExperience,
  "v6-cells": cells,
  "v6-definitions": v6Definitions,
  "v6-rows": rows,
  "v6-written": written,
  views,
  volumes,
  wraparound,
};

const of = (gate: Gate): Check[] => gateChecks[gate].map((name: CheckName) => checks[name]);

/** The checks of each gate, in the order in which spec/gates.ts names them. */
export const gates: Readonly<Record<Gate, readonly Check[]>> = {
  before: of("before"),
  schema: of("schema"),
  data: of("data"),
  end: of("end"),
};
