import { Struct, type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";

/**
 * Values as they cross the wire (Pulumi, proto/pulumi/provider.proto and sdk/nodejs/runtime/rpc.ts): a secret is an
 * object with a signature, an unknown is a marker string. The three constants are part of Pulumi's protocol; they are
 * repeated here because importing `@pulumi/pulumi/runtime` would load the whole SDK into every plugin start.
 */
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const unknownMarker = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** A value that is not known before `up` has run. */
export const unknown: unique symbol = Symbol("unknown until up");

export type Value = null | boolean | number | string | typeof unknown | Value[] | { [key: string]: Value };
export type Values = Record<string, Value>;

/** Properties as a handler sees them: bare values, and beside them which of the top-level ones were secret. */
export interface Properties {
  values: Values;
  secrets: ReadonlySet<string>;
}

/** Reads a Struct. A secret anywhere inside a property makes that whole property secret. */
export function decode(struct: Struct | undefined): Properties {
  const secrets = new Set<string>();
  const values: Values = {};
  for (const [key, raw] of Object.entries(struct ? (struct.toJavaScript() as Record<string, JavaScriptValue>) : {})) {
    values[key] = bare(raw, () => secrets.add(key));
  }
  return { values, secrets };
}

function bare(raw: JavaScriptValue, sawSecret: () => void): Value {
  if (raw === unknownMarker) return unknown;
  if (Array.isArray(raw)) return (raw as JavaScriptValue[]).map((item) => bare(item, sawSecret));
  if (raw === null || typeof raw !== "object") return raw;
  const object = raw as Readonly<Record<string, JavaScriptValue>>;
  const signature = object[signatureKey];
  if (signature === secretSignature) {
    sawSecret();
    return bare(object["value"] ?? null, sawSecret);
  }
  if (signature !== undefined) throw new Error("assets, archives and resource references are not taken by this plugin");
  return Object.fromEntries(Object.entries(object).map(([key, item]) => [key, bare(item, sawSecret)]));
}

/**
 * Writes a Struct, wrapping the named properties as secrets.
 * @throws Error for what the protocol cannot say and would silently spoil: undefined, a Date, a bigint, NaN.
 */
export function encode(values: Values, secrets: ReadonlySet<string>): Struct {
  const raw: Record<string, JavaScriptValue> = {};
  for (const [key, value] of Object.entries(values)) {
    const plain = wire(value, key);
    raw[key] = secrets.has(key) ? { [signatureKey]: secretSignature, value: plain } : plain;
  }
  return Struct.fromJavaScript(raw);
}

function wire(value: unknown, path: string): JavaScriptValue {
  if (value === unknown) return unknownMarker;
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item, i) => wire(item, `${path}[${i}]`));
  if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, wire(item, `${path}.${key}`)]));
  }
  const kind = value instanceof Date ? "a Date" : typeof value;
  throw new Error(`property ${path} is ${kind}, which Pulumi's wire format cannot carry`);
}

/** True if the value, or anything inside it, is unknown. */
export function hasUnknown(value: Value | undefined): boolean {
  if (value === unknown) return true;
  if (Array.isArray(value)) return value.some(hasUnknown);
  return value !== null && typeof value === "object" && Object.values(value).some(hasUnknown);
}
