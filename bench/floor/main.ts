/**
 * The product's plugin with handlers that return at once: the same package, resources and function, no database. What an
 * `up` of the product's program takes with it is the engine's floor.
 */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { connectionKeys } from "../../config/connection";
import { serve } from "../../provider/serve";
import type { FunctionHandler, Handler } from "../../provider/types";
import { packageName, type FunctionSpec, type ResourceSpec } from "../../spec";

const load = createRequire(__filename);
const folder = join(__dirname, "..", "..", "resources");

/** What every spec.ts below resources/ exports: a new kind of resource is in the floor without a line here. */
const specs = readdirSync(folder)
  .filter((name) => existsSync(join(folder, name, "spec.ts")))
  .flatMap((name) => Object.values(load(`../../resources/${name}/spec.ts`) as Record<string, unknown>))
  .filter((value): value is ResourceSpec | FunctionSpec => isObject(value) && typeof value["token"] === "string");

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

const values: Readonly<Record<string, unknown>> = { array: [], object: {}, integer: 0, number: 0, boolean: false };

/** A value of its type for each: what one resource gives is another's input. */
const valuesOf = (properties: Readonly<Record<string, { type?: string }>>): Record<string, never> =>
  Object.fromEntries(
    Object.entries(properties).map(([key, { type = "string" }]) => [key, (values[type] ?? "floor") as never]),
  );

function idle(spec: ResourceSpec): Handler<null> {
  const outputs = valuesOf({ ...spec.computed, ...spec.outputs });
  return {
    spec,
    check: (_call, news) => Promise.resolve({ inputs: news, failures: [] }),
    diff: () => Promise.resolve(new Map()),
    create: (call) => Promise.resolve({ id: call.name, state: outputs }),
    update: () => Promise.resolve(outputs),
    read: (_call, id, inputs, state) => Promise.resolve({ gone: false, id, inputs, state }),
    delete: () => Promise.resolve(),
  };
}

function idleFunction(spec: FunctionSpec): FunctionHandler<null> {
  return { spec, invoke: () => Promise.resolve(valuesOf(spec.outputs)) };
}

void serve<null>({
  name: packageName,
  version: "0.1.0",
  description: "Resources that do nothing.",
  config: connectionKeys,
  resources: specs.filter((spec) => "computed" in spec).map(idle),
  functions: specs.filter((spec) => !("computed" in spec)).map(idleFunction),
  configure: () => Promise.resolve(null),
  presentable: (err) => (err instanceof Error ? err : new Error(String(err))),
  close: () => Promise.resolve(),
});
