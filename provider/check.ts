import { check, pathText, type Fault, type ResourceSpec, type Shape, record } from "../spec";
import { unknown, type Values } from "./wire";

/** Every property that a resource's state may hold. */
export function allProperties(spec: ResourceSpec): Shape {
  return { ...spec.inputs, ...spec.computed, ...spec.outputs };
}

/** A value that does not fit, as Pulumi's check wants it. The reason never quotes the value: it may be a secret. */
export interface Problem {
  property: string;
  reason: string;
}

/** @returns what is wrong with the values that a program gave: missing, of the wrong type, not allowed, or not known at all */
export function problemsWith(shape: Shape, values: Values): Problem[] {
  // An unknown fits everywhere; keys that begin with __ are Pulumi's own.
  const manner = { passes: (value: unknown) => value === unknown, ignores: (key: string) => key.startsWith("__") };
  const { faults } = check(record(shape, ""), values, manner);
  return faults.map((fault) => ({ property: pathText(fault.path), reason: reason(fault) }));
}

function reason({ kind, property }: Fault): string {
  if (kind === "missing") return `is required: ${property.description}`;
  if (kind === "type") return `must be of type ${property.type}`;
  if (kind === "wrong") return `must be ${property.expected}`;
  return `is not a property here; known are ${Object.keys(property.fields ?? {}).join(", ") || "none"}`;
}
