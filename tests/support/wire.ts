import * as rpc from "@pulumi/pulumi/runtime/rpc";
import { Struct, type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb";

/** Values as the engine sends them, made with the SDK's own constants and not with those of provider/wire.ts. */
export type Wire = JavaScriptValue;

/** The engine's marker of a value that is not known yet. */
export const unknownMark: string = rpc.unknownValue;

/** Wraps a value as a secret, as the engine does. */
export function secretly(value: Wire): Wire {
  return { [rpc.specialSigKey]: rpc.specialSecretSig, value };
}

/** @returns the Struct of an object */
export function struct(values: Record<string, Wire>): Struct {
  return Struct.fromJavaScript(values);
}

/** @returns what a property stands for that the state has as one text */
export function opened(text: Wire | undefined): unknown {
  if (typeof text !== "string") throw new Error("this is no text");
  return JSON.parse(text);
}

/** @returns what a Struct says, secrets and unknowns still marked; undefined where there is none */
export function plain(found: Struct | undefined): Record<string, Wire> | undefined {
  return found?.toJavaScript() as Record<string, Wire> | undefined;
}
