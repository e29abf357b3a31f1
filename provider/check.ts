import type { Property, ResourceSpec, Shape } from "../resources/spec";
import { unknown, type Value, type Values } from "./wire";

/** Every property that a resource's state may hold. */
export function allProperties(spec: ResourceSpec): Shape {
  return { ...spec.inputs, ...spec.computed, ...spec.outputs };
}

/** A value that does not fit, as Pulumi's check wants it. The reason never quotes the value: it may be a secret. */
export interface Problem {
  property: string;
  reason: string;
}

/** @returns what is wrong with the values that a program gave: missing, of the wrong type, or not known at all */
export function problemsWith(shape: Shape, values: Values): Problem[] {
  const problems: Problem[] = [];
  checkFields(shape, values, "", problems);
  return problems;
}

function checkFields(shape: Shape, values: { [key: string]: Value }, prefix: string, problems: Problem[]): void {
  for (const [key, property] of Object.entries(shape)) {
    const value = values[key];
    const path = prefix + key;
    if (value === undefined || value === null) {
      if (!property.optional) problems.push({ property: path, reason: `is required: ${property.description}` });
    } else {
      checkValue(property, value, path, problems);
    }
  }
  for (const key of Object.keys(values)) {
    if (!(key in shape) && !key.startsWith("__")) {
      const known = Object.keys(shape).join(", ");
      problems.push({ property: prefix + key, reason: `is not a property here; known are ${known || "none"}` });
    }
  }
}

function checkValue(property: Property, value: Value, path: string, problems: Problem[]): void {
  if (value === unknown) return;
  if (!hasType(property, value)) {
    problems.push({ property: path, reason: `must be of type ${property.type}` });
    return;
  }
  if (Array.isArray(value)) {
    value.forEach((item, i) => property.items && checkValue(property.items, item, `${path}[${i}]`, problems));
  } else if (typeof value === "object" && value !== null) {
    if (property.fields) checkFields(property.fields, value, `${path}.`, problems);
    const { values } = property;
    if (values) Object.entries(value).forEach(([key, item]) => checkValue(values, item, `${path}.${key}`, problems));
  }
}

function hasType(property: Property, value: Value): boolean {
  switch (property.type) {
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    case "any":
      return true;
    case "integer":
      return Number.isSafeInteger(value);
    default:
      return typeof value === property.type;
  }
}
