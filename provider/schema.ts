import type { Property, Shape } from "../spec";
import type { Plugin } from "./types";

type Json = { [key: string]: unknown };

/**
 * The Pulumi package schema (Pulumi docs, "Package Schema") of a plugin, made from the same specs that its checks use:
 * what `pulumi package get-schema` prints and `gen-sdk` reads.
 */
export function packageSchema<Host>(plugin: Plugin<Host>): Json {
  const types: Record<string, Json> = {};
  const prefix = `${plugin.name}:index:`;
  const resources = plugin.resources.map(({ spec }) => {
    const outputs = { ...spec.inputs, ...spec.computed, ...spec.outputs };
    return [
      spec.token,
      {
        description: spec.description,
        inputProperties: properties(spec.inputs, prefix, spec.kind, types),
        requiredInputs: required(spec.inputs),
        properties: properties(outputs, prefix, spec.kind, types),
        required: required(outputs),
      },
    ] as const;
  });
  const functions = plugin.functions.map(({ spec }) => {
    const name = spec.token.replace(prefix, "");
    const owner = name.charAt(0).toUpperCase() + name.slice(1);
    return [
      spec.token,
      {
        description: spec.description,
        inputs: object(spec.inputs, prefix, `${owner}Args`, types),
        outputs: object(spec.outputs, prefix, `${owner}Result`, types),
      },
    ] as const;
  });
  return {
    name: plugin.name,
    version: plugin.version,
    description: plugin.description,
    meta: { moduleFormat: "(.*)" },
    provider: {
      description: "Which database to work on.",
      inputProperties: properties(plugin.config, prefix, "Provider", types),
    },
    resources: Object.fromEntries(resources),
    functions: Object.fromEntries(functions),
    types,
    language: { nodejs: { respectSchemaVersion: true } },
  };
}

function object(shape: Shape, prefix: string, owner: string, types: Record<string, Json>): Json {
  return { type: "object", properties: properties(shape, prefix, owner, types), required: required(shape) };
}

function required(shape: Shape): string[] {
  return Object.keys(shape).filter((key) => !shape[key]?.optional);
}

function properties(shape: Shape, prefix: string, owner: string, types: Record<string, Json>): Record<string, Json> {
  const named = (key: string): string => owner + key.charAt(0).toUpperCase() + key.slice(1);
  return Object.fromEntries(
    Object.entries(shape).map(([key, property]) => [key, described(property, prefix, named(key), types)]),
  );
}

function described(property: Property, prefix: string, name: string, types: Record<string, Json>): Json {
  return {
    ...typeOf(property, prefix, name, types),
    description: property.whole ? `${property.description} As JSON.` : property.description,
    ...(property.secret ? { secret: true } : {}),
  };
}

/** An object with fixed keys becomes a named type of the package, anything else is said in place. */
function typeOf(property: Property, prefix: string, name: string, types: Record<string, Json>): Json {
  if (property.whole) return { type: "string" };
  if (property.items) return { type: "array", items: typeOf(property.items, prefix, `${name}Item`, types) };
  if (property.values) {
    return { type: "object", additionalProperties: typeOf(property.values, prefix, `${name}Value`, types) };
  }
  if (property.fields) {
    types[prefix + name] = { description: property.description, ...object(property.fields, prefix, name, types) };
    return { $ref: `#/types/${prefix}${name}` };
  }
  return property.type === "any" ? { $ref: "pulumi.json#/Any" } : { type: property.type };
}
