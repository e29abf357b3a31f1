import { readFileSync } from "node:fs";
import { join } from "node:path";
import { configuration } from "../../config/keys";
import type { Property, Shape } from "../../spec";
import { parseDocument, Scalar, type YAMLMap } from "yaml";

const keys: [string, Property][] = Object.entries(configuration.fields);

/** @returns by their paths below docs/ the pages that say which keys there are: configuration.md and Pulumi.yaml */
export function configurationPages(): Map<string, string> {
  const declaring = readFileSync(join(__dirname, "..", "..", "Pulumi.yaml"), "utf8");
  return new Map([
    ["configuration.md", page()],
    ["../Pulumi.yaml", withKeys(declaring)],
  ]);
}

function page(): string {
  return `# Configuration

The keys of a stack's file, \`Pulumi.<stack>.yaml\`. Made from config/ by \`npm run docs\`. All that is wrong is said at once, with the
nearest key that is known. An empty text or object counts as absent.

${keys.map(([key, property]) => section(`guardian:${key}`, property)).join("\n\n")}
`;
}

function section(key: string, property: Property): string {
  const { fields, values } = property;
  const parts = [`## ${key}`, property.description];
  if (values?.fields) {
    parts.push("Its keys are names; each is an object:", tableOf(values.fields));
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
  const rows = Object.entries(fields).map(
    ([name, field]) => `| ${code(name)} | ${field.expected} | ${absent(field)} | ${field.description} |`,
  );
  return ["| key | must be | where it is absent | |", "|---|---|---|---|", ...rows].join("\n");
}

function absent(property: Property): string {
  const written = property.default;
  if (written !== undefined) return code(typeof written === "string" ? written : JSON.stringify(written));
  return property.optional ? "–" : "an error";
}

const code = (text: string): string => `\`${text}\``;

/**
 * @param text Pulumi.yaml
 * @returns the same with each key of config/, and no other, declared under `config`; comments stay
 */
export function withKeys(text: string): string {
  const doc = parseDocument(text);
  const declared = doc.get("config") as YAMLMap<Scalar<string>>;
  declared.items = declared.items.filter(({ key: { value } }) => keys.some(([key]) => value === `guardian:${key}`));
  for (const [key, property] of keys) {
    const set = (name: string, value: unknown): void => doc.setIn(["config", `guardian:${key}`, name], value);
    // Pulumi refuses a secret text where it wants an object.
    if (!property.secret) set("type", property.type);
    const description = new Scalar(summary(property));
    description.type = Scalar.BLOCK_FOLDED;
    set("description", description);
    // Pulumi refuses a declared key without a value: an empty text or object stands for "not given".
    set("default", property.default ?? (property.type === "object" ? {} : ""));
  }
  return doc.toString({ lineWidth: 118 });
}

function summary({ description, expected, fields, values }: Property): string {
  if (values?.fields) return `${description} Each has keys: ${listed(values.fields)}.`;
  if (values) return `${description} Each is ${values.expected}.`;
  if (!fields) return `${description} It must be ${expected}.`;
  return `${description} Its keys: ${listed(fields)}.`;
}

const listed = (fields: Shape): string =>
  Object.entries(fields)
    .map(([key, field]) => `${key} (${field.expected})`)
    .join("; ");
