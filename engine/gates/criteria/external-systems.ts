import { isFhir } from "../../../spec/sign-offs";
import { standingTables } from "../../ledger/objects";
import { notApplicable, type Check, type Declared, type Endpoint } from "../check";
import { askAll, judged, worse } from "./endpoints";
import { signedOff } from "./sign-off";

/** Guide 6.3, "FHIR Integration - External system connectivity". */
export const externalSystems: Check = {
  name: "external-systems",
  asks: "whether FHIR's own endpoint answers with a CapabilityStatement of R4; where the stack names none, whether somebody signed off that others are reached",
  cost: "queries",
  outside: true,
  worse,
  async run(site) {
    const { declared, db } = site;
    if ((await standingTables(db)).length === 0) return notApplicable("no module is applied");
    const wanted = fhirOf(declared);
    if (wanted.length === 0) return signedOff("external-systems", site);
    return judged(await askAll(site, wanted, noCapabilities), "external-systems", site);
  },
  foreseen: (site) =>
    fhirOf(site.declared).length > 0 ? Promise.resolve(undefined) : signedOff("external-systems", site),
};

const fhirOf = ({ endpoints }: Declared): Endpoint[] => endpoints.filter(({ url }) => isFhir(url));

/** Why a body is no CapabilityStatement of R4 (FHIR R4, capabilitystatement.html: fhirVersion is 1..1); nothing of it is quoted. */
function noCapabilities(body: string | undefined): string | undefined {
  if (body === undefined) return "its answer is too long to be read";
  let found: unknown;
  try {
    found = JSON.parse(body);
  } catch {
    return "its answer is no JSON";
  }
  const { resourceType, fhirVersion } = Object(found) as Record<string, unknown>;
  if (resourceType !== "CapabilityStatement") return "its answer is no CapabilityStatement";
  const r4 = typeof fhirVersion === "string" && /^4\.0(\.\d+)?$/.test(fhirVersion);
  return r4 ? undefined : "its CapabilityStatement is not of R4 (fhirVersion 4.0.1)";
}
