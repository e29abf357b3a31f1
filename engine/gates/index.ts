import type { Gate } from "../../spec/gates";
import type { Check } from "./check";
import { backup } from "./before/backup";
import { bloat } from "./before/bloat";
import { checksums } from "./before/checksums";
import { collations } from "./before/collations";
import { connections } from "./before/connections";
import { extensions } from "./before/extensions";
import { indexes } from "./before/indexes";
import { neighbours } from "./before/neighbours";
import { recognised } from "./before/recognised";
import { replication } from "./before/replication";
import { rights } from "./before/rights";
import { room } from "./before/room";
import { taken } from "./before/taken";
import { transactions } from "./before/transactions";
import { unfinished } from "./before/unfinished";
import { volumes } from "./before/volumes";
import { wraparound } from "./before/wraparound";
import { apiEndpoints } from "./criteria/api-endpoints";
import { documentationUpdated } from "./criteria/documentation-updated";
import { externalSystems } from "./criteria/external-systems";
import { supportTrained } from "./criteria/support-trained";
import { userAcceptance } from "./criteria/user-acceptance";
import { userExperience } from "./criteria/user-experience";
import { baseline } from "./performance/baseline";
import { slowdown } from "./performance/slowdown";
import { careTeamJourney } from "./function/care-team-journey";
import { consentFlow } from "./function/consent";
import { documentPipeline } from "./function/documents";
import { fhirBuild } from "./function/fhir";
import { flagShare } from "./function/flags";
import { notificationOnce } from "./function/notifications";
import { operations } from "./function/operations";
import { patientJourney } from "./function/patient-journey";
import { definitions } from "./security/definitions";
import { functions } from "./security/functions";
import { permissions } from "./security/permissions";
import { rowSecurity } from "./security/row-security";
import { sampledUsers } from "./security/sampled-users";
import { strangers } from "./security/strangers";
import { views } from "./security/views";
import { cells } from "./validation/cells";
import { definitions as v6Definitions } from "./validation/definitions";
import { moved } from "./validation/moved";
import { rows } from "./validation/rows";
import { written } from "./validation/written";

/** What must hold as long as v7's objects are there. */
const security = [definitions, rowSecurity, functions, views, permissions, strangers, sampledUsers];

/** What v7's functions must do as soon as they are there, tried and rolled back. */
const working = [consentFlow, documentPipeline, notificationOnce, fhirBuild];

/** And at the end, when flags are set and data is there. */
const together = [flagShare, patientJourney, careTeamJourney, operations];

/** Every check by the gate that it belongs to, one line each, in the order in which they are told. */
export const gates = {
  before: [
    recognised,
    rights,
    extensions,
    volumes,
    transactions,
    replication,
    neighbours,
    indexes,
    bloat,
    connections,
    room,
    collations,
    wraparound,
    checksums,
    unfinished,
    taken,
    backup,
    apiEndpoints,
    baseline,
  ],
  schema: [...security, ...working],
  data: [moved, v6Definitions, rows, cells, written],
  end: [
    ...security,
    ...working,
    ...together,
    apiEndpoints,
    externalSystems,
    userAcceptance,
    userExperience,
    documentationUpdated,
    supportTrained,
    slowdown,
  ],
} as const satisfies Readonly<Record<Gate, readonly Check[]>>;
