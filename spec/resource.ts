import { record, text, type Shape, type Simplify, type Values } from "./shape";

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
