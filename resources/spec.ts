/**
 * What a resource's properties are, said once: the program's types (declare.ts), the plugin's checks and the package
 * schema (provider/schema.ts) all come from it. Pure data, so that it loads in both worlds.
 */

/** A property as the Pulumi package schema knows it (Pulumi docs, "Package Schema"). */
export interface Property<T = unknown, Optional extends boolean = boolean> {
  readonly type: "string" | "integer" | "number" | "boolean" | "array" | "object" | "any";
  readonly description: string;
  readonly optional: Optional;
  readonly secret: boolean;
  readonly items?: Property;
  readonly fields?: Shape;
  readonly values?: Property;
  /** Never set: carries the TypeScript type. */
  readonly typed?: T;
}

export type Shape = Readonly<Record<string, Property>>;

type Simplify<T> = { [K in keyof T]: T[K] };
type TypeOf<P> = P extends Property<infer T> ? T : never;
type OptionalKeys<S extends Shape> = { [K in keyof S]: S[K] extends Property<unknown, true> ? K : never }[keyof S];

/** The values that a shape admits, as plain TypeScript. */
export type Values<S extends Shape> = Simplify<
  { [K in Exclude<keyof S, OptionalKeys<S>>]: TypeOf<S[K]> } & { [K in OptionalKeys<S>]?: TypeOf<S[K]> }
>;

const plain = <T>(type: Property["type"], description: string): Property<T, false> => ({
  type,
  description,
  optional: false,
  secret: false,
});

/** A string. */
export const text = (description: string): Property<string, false> => plain("string", description);
/** One of a few strings. */
export const choice = <T extends string>(description: string): Property<T, false> => plain("string", description);
/** A whole number. */
export const integer = (description: string): Property<number, false> => plain("integer", description);
/** A number. */
export const number = (description: string): Property<number, false> => plain("number", description);
/** A boolean. */
export const flag = (description: string): Property<boolean, false> => plain("boolean", description);
/** Any JSON value. */
export const any = (description: string): Property<unknown, false> => plain("any", description);
/** An array. */
export const list = <T>(items: Property<T, false>, description: string): Property<T[], false> => ({
  ...plain<T[]>("array", description),
  items,
});
/** An object whose keys are free. */
export const map = <T>(values: Property<T, false>, description: string): Property<Record<string, T>, false> => ({
  ...plain<Record<string, T>>("object", description),
  values,
});
/** An object whose keys are fixed. */
export const record = <S extends Shape>(fields: S, description: string): Property<Values<S>, false> => ({
  ...plain<Values<S>>("object", description),
  fields,
});
/** Makes a property one that may be left out. */
export const optional = <T>(property: Property<T, false>): Property<T, true> => ({ ...property, optional: true });
/** Keeps a property encrypted in Pulumi's state, and masked in its output. */
export const secret = <T, O extends boolean>(property: Property<T, O>): Property<T, O> => ({
  ...property,
  secret: true,
});

/** The name of the plugin's package; not the project's, whose keys would else land in the provider's inputs. */
export const packageName = "guardian-migration";

/** One kind of resource: what is declared, what check adds to it, and what comes back. */
export interface ResourceSpec<I extends Shape = Shape, C extends Shape = Shape, O extends Shape = Shape> {
  readonly token: string;
  readonly kind: string;
  readonly description: string;
  /** What the program gives. */
  readonly inputs: I;
  /** What the plugin's check adds to the inputs, so that the diff shows it. */
  readonly computed: C;
  /** What only the database knows. */
  readonly outputs: O;
}

/** Which database a resource's state belongs to; compared before anything is done to it. */
export const databaseIdentity = record(
  {
    ledgerId: text("The uuid of the ledger in this database."),
    systemIdentifier: text("The cluster's system identifier (pg_control_system)."),
    database: text("The name of the database."),
  },
  "The database that this state belongs to.",
);

/** @returns the spec of a resource; every one carries the identity of its database. */
export function resource<I extends Shape, C extends Shape, O extends Shape>(
  kind: string,
  description: string,
  shapes: { inputs: I; computed: C; outputs: O },
): ResourceSpec<I, C, O & { database: typeof databaseIdentity }> {
  return {
    token: `${packageName}:index:${kind}`,
    kind,
    description,
    inputs: shapes.inputs,
    computed: shapes.computed,
    outputs: { ...shapes.outputs, database: databaseIdentity },
  };
}

/** What the program gives to a resource. */
export type Args<S extends ResourceSpec> = Values<S["inputs"]>;
/** What the plugin works with: what was given and what check added. */
export type Inputs<S extends ResourceSpec> = Simplify<Values<S["inputs"]> & Values<S["computed"]>>;
/** All that the state holds. */
export type State<S extends ResourceSpec> = Simplify<Inputs<S> & Values<S["outputs"]>>;

/** A function of the package: it reads, and changes nothing. */
export interface FunctionSpec<I extends Shape = Shape, O extends Shape = Shape> {
  readonly token: string;
  readonly description: string;
  readonly inputs: I;
  readonly outputs: O;
}

/** @returns the spec of a function. */
export function invocation<I extends Shape, O extends Shape>(
  name: string,
  description: string,
  shapes: { inputs: I; outputs: O },
): FunctionSpec<I, O> {
  return { token: `${packageName}:index:${name}`, description, ...shapes };
}
