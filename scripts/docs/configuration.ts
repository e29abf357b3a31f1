import { readFileSync } from "node:fs";
import { join } from "node:path";
import { foundation, foundationProject } from "../../config/foundation/keys";
import { configuration } from "../../config/keys";
import { code } from "./pages";
import type { Property, Shape } from "../../spec";
import { parseDocument, Scalar, type YAMLMap } from "yaml";

/** A project of this repository: its folder, the namespace of its keys, and these. */
export interface Project {
  folder: string;
  namespace: string;
  keys: [string, Property][];
}

export const migration: Project = { folder: "", namespace: "guardian", keys: Object.entries(configuration.fields) };
const foundations: Project = {
  folder: "foundation",
  namespace: foundationProject,
  keys: Object.entries(foundation.fields),
};

/** @returns by their paths below docs/ the pages that say which keys there are: configuration.md and each project's Pulumi.yaml */
export function configurationPages(): Map<string, string> {
  const declaring = [migration, foundations].map((project): [string, string] => {
    const path = join("..", project.folder, "Pulumi.yaml");
    return [path, withKeys(readFileSync(join(__dirname, "..", path), "utf8"), project)];
  });
  return new Map([["configuration.md", page()], ...declaring]);
}

function page(): string {
  return `# Configuration

The keys of a stack's file, \`Pulumi.<stack>.yaml\`. Made from config/ by \`npm run docs\`. All that is wrong is said at once, with the
nearest key that is known. An empty text or object counts as absent. What is set by \`config set --secret\` stands encrypted in the state
too, with what follows from it, all that its key has (\`guardian:backup\`, if only its directory is one); but for names that Pulumi
itself keeps in clear: of flags and stages, and the id of a snapshot in RDS. The ledger has it in clear.

${sections(migration)}

# Configuration of foundation/

The keys of \`foundation/Pulumi.<stack>.yaml\`, in the same way. Nothing of it is needed by a stack of the migration.

${sections(foundations)}
`;
}

const sections = ({ namespace, keys }: Project): string =>
  keys.map(([key, property]) => section(`${namespace}:${key}`, property)).join("\n\n");

function section(key: string, property: Property): string {
  const { fields, values, items } = property;
  const parts = [`## ${key}`, property.description];
  if (items?.fields) {
    parts.push("Each of its entries is an object:", tableOf(items.fields));
  } else if (values?.fields) {
    const names = fields ? Object.keys(fields).map(code).join(", ") : "names";
    parts.push(`Its keys are ${names}; each is an object:`, tableOf(values.fields));
  } else if (values && !fields) {
    parts.push(`Its keys are names; each is ${values.expected}.`);
  } else if (values) {
    parts.push(
      `Each of its keys is ${values.expected}: ${Object.keys(fields ?? {})
        .map(code)
        .join(", ")}.`,
    );
  } else if (fields) {
    parts.push(tableOf(fields));
  } else {
    parts.push(`It must be ${property.expected}; where it is absent: ${absent(property)}.`);
  }
  return parts.join("\n\n");
}

function tableOf(fields: Shape): string {
  return ["| key | must be | where it is absent | |", "|---|---|---|---|", ...rowsOf(fields)].join("\n");
}

const rowsOf = (fields: Shape, prefix = ""): string[] =>
  Object.entries(fields).flatMap(([name, field]) => [
    `| ${code(prefix + name)} | ${field.expected} | ${absent(field)} | ${field.description} |`,
    ...(field.fields ? rowsOf(field.fields, `${prefix}${name}.`) : []),
  ]);

function absent(property: Property): string {
  const written = property.default;
  if (written !== undefined) return code(typeof written === "string" ? written : JSON.stringify(written));
  return property.optional ? "–" : "an error";
}

/**
 * @param text the project's Pulumi.yaml
 * @returns the same with each key of config/, and no other, declared under `config`; comments stay
 */
export function withKeys(text: string, { namespace, keys }: Project): string {
  const doc = parseDocument(text);
  const declared = doc.get("config") as YAMLMap<Scalar<string>>;
  declared.items = declared.items.filter(({ key: { value } }) => keys.some(([key]) => value === `${namespace}:${key}`));
  for (const [key, property] of keys) {
    const set = (name: string, value: unknown): void => doc.setIn(["config", `${namespace}:${key}`, name], value);
    // Pulumi refuses a secret text where it wants an object.
    if (!property.secret) set("type", property.type);
    if (property.items) set("items", { type: property.items.type });
    const description = new Scalar(summary(property));
    description.type = Scalar.BLOCK_FOLDED;
    set("description", description);
    // Pulumi refuses a declared key without a value: an empty text or object stands for "not given".
    set("default", property.default ?? (property.type === "object" ? {} : ""));
  }
  return doc.toString({ lineWidth: 118 });
}

function summary({ description, expected, fields, values, items }: Property): string {
  if (items?.fields) return `${description} Each has keys: ${listed(items.fields)}.`;
  if (values?.fields) return `${description} Each has keys: ${listed(values.fields)}.`;
  if (values) return `${description} Each is ${values.expected}.`;
  if (!fields) return `${description} It must be ${expected}.`;
  return `${description} Its keys: ${listed(fields)}.`;
}

const listed = (fields: Shape): string =>
  Object.entries(fields)
    .map(([key, field]) => `${key} (${field.expected})`)
    .join("; ");
