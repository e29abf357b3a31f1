/**
 * What a value must be, said once as data: configuration keys, module.yaml, migration.yaml and resources' properties.
 * TypeScript types, checks, the package schema and the documentation all come from it.
 */

/** What a value must be; `type` and `description` as the Pulumi package schema knows them (Pulumi docs, "Package Schema"). */
export interface Property<T = unknown, Optional extends boolean = boolean> {
  readonly type: "string" | "integer" | "number" | "boolean" | "array" | "object" | "any";
  readonly description: string;
  /** What must stand there, in words that follow "it must be". */
  readonly expected: string;
  readonly optional: Optional;
  readonly secret: boolean;
  /** In Pulumi's state it stands as one text, JSON. */
  readonly whole?: true;
  readonly items?: Property;
  readonly fields?: Shape;
  readonly values?: Property;
  /** Stands where nothing is given; written as one would write it. */
  readonly default?: unknown;
  /** The only words that are allowed; a wrong one may be shown. */
  readonly choices?: readonly string[];
  /** Keys that people try in this object, and what to say of them instead of the nearest one that is known. */
  readonly hints?: Readonly<Record<string, string>>;
  /** What else is to be done where a wrong value stands: it may have been a password. */
  readonly exposed?: string;
  /** What else may be done where a key is none of this object's, to be read after the nearest one that is known. */
  readonly unknown?: string;
  /** True if a value of the right type is one of those that are meant. */
  fits?(value: T): boolean;
  /** What the value stands for. */
  reads?(value: unknown): T;
  /** What is wrong between the fields of an object. A field that was not given is absent, one that is wrong is undefined. */
  rule?(found: Partial<T>): readonly Complaint[];
  /** Never set: carries the TypeScript type. */
  readonly typed?: T;
}

/** A value that does not go with the others. */
export interface Complaint {
  /** Keys and positions that lead to it from the object whose rule it is. */
  readonly path: Path;
  /** What is wrong, to be read after the key: `is 3, above maxSlowdown 2`. */
  readonly text: string;
}

export type Path = readonly (string | number)[];
export type Shape = Readonly<Record<string, Property>>;

export type Simplify<T> = { [K in keyof T]: T[K] };
/** The value that a property admits. */
export type Value<P> = P extends Property<infer T> ? T : never;
type OptionalKeys<S extends Shape> = { [K in keyof S]: S[K] extends Property<unknown, true> ? K : never }[keyof S];

/** The values that a shape admits, as plain TypeScript. */
export type Values<S extends Shape> = Simplify<
  { [K in Exclude<keyof S, OptionalKeys<S>>]: Value<S[K]> } & { [K in OptionalKeys<S>]?: Value<S[K]> }
>;

const plain = <T>(type: Property["type"], description: string, expected: string): Property<T, false> => ({
  type,
  description,
  expected,
  optional: false,
  secret: false,
});

/** A string. */
export const text = (description: string): Property<string, false> => plain("string", description, "a text");
/** A string that the pattern fits. */
export const like = (pattern: RegExp, expected: string, description: string): Property<string, false> => ({
  ...plain<string>("string", description, expected),
  fits: (value) => pattern.test(value),
});
/** One of a few strings. */
export const choice = <T extends string>(choices: readonly T[], description: string): Property<T, false> => ({
  ...plain<T>("string", description, `one of ${choices.join(", ")}`),
  choices,
  fits: (value) => choices.includes(value),
});
/** A uuid, in lower case. */
export const uuid = (description: string): Property<string, false> =>
  standing(like(/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i, "a uuid", description), (value) =>
    value.toLowerCase(),
  );
/** A whole number. */
export const integer = (description: string): Property<number, false> =>
  plain("integer", description, "a whole number");
/** A number. */
export const number = (description: string): Property<number, false> => plain("number", description, "a number");
/** Bounds a number; both ends are allowed. */
export const within = (min: number, max: number, property: Property<number, false>): Property<number, false> => ({
  ...property,
  expected: `${property.expected} from ${min} to ${max}`,
  fits: (value) => value >= min && value <= max,
});
/** A boolean. */
export const flag = (description: string): Property<boolean, false> =>
  plain("boolean", description, "one of true, false");
/** Any JSON value. */
export const any = (description: string): Property<unknown, false> => plain("any", description, "any value");
/** An array. */
export const list = <T>(items: Property<T, false>, description: string, expected = "a list"): Property<T[], false> => ({
  ...plain<T[]>("array", description, expected),
  items,
});
/** An array that is not empty. */
export const filled = <T>(items: Property<T, false>, description: string, expected: string): Property<T[], false> => ({
  ...list(items, description, expected),
  fits: (value) => value.length > 0,
});
/** An object whose keys are free. */
export const map = <T>(values: Property<T, false>, description: string): Property<Record<string, T>, false> => ({
  ...plain<Record<string, T>>("object", description, "an object"),
  values,
});
/** An object whose keys are fixed. */
export const record = <S extends Shape>(
  fields: S,
  description: string,
): Property<Values<S>, false> & { readonly fields: S } => ({
  ...plain<Values<S>>("object", description, `an object with ${Object.keys(fields).join(", ")}`),
  fields,
});
/** An object that may have any of some keys, each with a value of the same kind. */
export const each = <K extends string, T>(
  keys: readonly K[],
  values: Property<T, false>,
  description: string,
): Property<Partial<Record<K, T>>, false> => {
  const fields = Object.fromEntries(keys.map((key) => [key, optional(values)]));
  return { ...record(fields, description), values } as Property<Partial<Record<K, T>>, false>;
};
/** Says what a value stands for. */
export const standing = <T, U>(property: Property<T, false>, reads: (value: T) => U): Property<U, false> =>
  ({ ...property, reads }) as unknown as Property<U, false>;
/** Says what does not go together in an object. */
export const ruled = <T, P extends Property<T, false>>(
  property: P & Property<T, false>,
  rule: (found: Partial<T>) => readonly Complaint[],
): P => ({ ...property, rule });
/** Makes a property one that may be left out. */
export const optional = <T>(property: Property<T, false>): Property<T, true> => ({ ...property, optional: true });
/** Says what stands where nothing is given, as one would write it. */
export const otherwise = <T>(value: unknown, property: Property<T, false>): Property<T, false> => ({
  ...property,
  default: value,
});
/** Keeps a property encrypted in Pulumi's state, and masked in its output. */
export const secret = <T, O extends boolean>(property: Property<T, O>): Property<T, O> => ({
  ...property,
  secret: true,
});
/**
 * Keeps a list or an object of a resource's state as one text: the engine takes its time for each single value at every call, and
 * shows JSON as what it stands for, a diff of it too.
 */
export const whole = <T, O extends boolean>(property: Property<T, O>): Property<T, O> => ({ ...property, whole: true });
