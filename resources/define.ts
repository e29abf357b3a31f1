import * as pulumi from "@pulumi/pulumi";
import type { Args, ResourceSpec, State } from "../spec";

type Inputs<T> = { [K in keyof T]: pulumi.Input<Exclude<T[K], undefined>> | Extract<T[K], undefined> };
type Outputs<T> = { readonly [K in keyof T]-?: pulumi.Output<T[K]> };

/** The constructor of a declared resource: what the program writes is `new FeatureFlag(name, args, options)`. */
export type Declared<S extends ResourceSpec> = new (
  name: string,
  args: Inputs<Args<S>>,
  options: pulumi.CustomResourceOptions,
) => pulumi.CustomResource & Outputs<State<S>>;

/** Makes the class that a program uses from the spec that the plugin obeys. */
export function define<S extends ResourceSpec>(spec: S): Declared<S> {
  const unset = Object.fromEntries(Object.keys({ ...spec.computed, ...spec.outputs }).map((key) => [key, undefined]));
  const wholes = Object.keys(unset).filter((key) => ({ ...spec.computed, ...spec.outputs })[key]?.whole);
  class Resource extends pulumi.CustomResource {
    constructor(name: string, args: Inputs<Args<S>>, options: pulumi.CustomResourceOptions) {
      super(spec.token, name, { ...unset, ...args }, options);
      for (const key of wholes) opened(this as unknown as Record<string, pulumi.Output<unknown>>, key);
    }
  }
  return Resource as unknown as Declared<S>;
}

/** What the state has as one text is what it stands for to the program; worked out where somebody takes it. */
function opened(resource: Record<string, pulumi.Output<unknown>>, key: string): void {
  const held = resource[key];
  const get = () => held?.apply((value) => (typeof value === "string" ? (JSON.parse(value) as unknown) : value));
  Object.defineProperty(resource, key, { get, enumerable: true });
}
