import * as pb from "@pulumi/pulumi/proto/provider_pb";
import { struct, type Wire } from "./wire";

/** Requests as engine 3.250.0 sends them (sdk/go/common/resource/plugin/provider_plugin.go). */

type Bag = Record<string, Wire>;

/** A URN of the stack dev in the project guardian. */
export function urnOf(type: string, name: string): string {
  return `urn:pulumi:dev::guardian::${type}::${name}`;
}

/** CheckConfig gets secrets unwrapped. */
export function checkConfig(urn: string, news: Bag, olds: Bag = {}): pb.CheckRequest {
  return new pb.CheckRequest().setUrn(urn).setOlds(struct(olds)).setNews(struct(news));
}

export function diffConfig(urn: string, oldInputs: Bag, news: Bag): pb.DiffRequest {
  return new pb.DiffRequest()
    .setUrn(urn)
    .setOldInputs(struct(oldInputs))
    .setOlds(struct(oldInputs))
    .setNews(struct(news));
}

/** Configure gets secrets wrapped, and beside them the old form, strings by `package:config:key`. */
export function configure(args: Bag): pb.ConfigureRequest {
  const request = new pb.ConfigureRequest();
  request.setAcceptsecrets(true).setAcceptresources(true).setSendsOldInputs(true).setSendsOldInputsToDelete(true);
  return request.setArgs(struct(args));
}

export function check(urn: string, news: Bag, olds: Bag = {}): pb.CheckRequest {
  return new pb.CheckRequest().setUrn(urn).setOlds(struct(olds)).setNews(struct(news));
}

export interface Change {
  id?: string;
  olds: Bag;
  oldInputs?: Bag;
  news: Bag;
}

export function diff(urn: string, { id = "id-1", olds, oldInputs, news }: Change): pb.DiffRequest {
  const request = new pb.DiffRequest().setId(id).setUrn(urn).setOlds(struct(olds)).setNews(struct(news));
  return request.setOldInputs(struct(oldInputs ?? olds));
}

export interface How {
  preview?: boolean;
  /** Seconds. */
  timeout?: number;
}

export function create(urn: string, properties: Bag, { preview = false, timeout = 0 }: How = {}): pb.CreateRequest {
  const request = new pb.CreateRequest().setUrn(urn).setProperties(struct(properties));
  return request.setPreview(preview).setTimeout(timeout);
}

export function update(urn: string, change: Change, { preview = false, timeout = 0 }: How = {}): pb.UpdateRequest {
  const { id = "id-1", olds, oldInputs, news } = change;
  const request = new pb.UpdateRequest().setId(id).setUrn(urn).setOlds(struct(olds)).setNews(struct(news));
  return request
    .setOldInputs(struct(oldInputs ?? olds))
    .setPreview(preview)
    .setTimeout(timeout);
}

export function read(urn: string, id: string, properties: Bag, inputs: Bag = properties): pb.ReadRequest {
  return new pb.ReadRequest().setUrn(urn).setId(id).setProperties(struct(properties)).setInputs(struct(inputs));
}

export function remove(urn: string, id: string, properties: Bag, oldInputs: Bag = properties): pb.DeleteRequest {
  return new pb.DeleteRequest().setUrn(urn).setId(id).setProperties(struct(properties)).setOldInputs(struct(oldInputs));
}

export function invoke(token: string, args: Bag, preview = false): pb.InvokeRequest {
  return new pb.InvokeRequest().setTok(token).setArgs(struct(args)).setPreview(preview);
}

/** Failures of a check as `property: reason`. */
export function failuresOf(response: { getFailuresList(): pb.CheckFailure[] }): string[] {
  return response.getFailuresList().map((failure) => `${failure.getProperty()}: ${failure.getReason()}`);
}

/** A diff in plain words: path to kind, with a mark on what is no input. */
export function changesOf(response: pb.DiffResponse): { changes: string; paths: Record<string, string> } {
  const { DIFF_NONE, DIFF_SOME } = pb.DiffResponse.DiffChanges;
  const known = { [DIFF_NONE]: "none", [DIFF_SOME]: "some" } as Record<number, string>;
  const kinds = ["add", "add, replace", "delete", "delete, replace", "update", "update, replace"];
  const paths: Record<string, string> = {};
  for (const [path, found] of response.getDetaileddiffMap().entries() as Iterable<[string, pb.PropertyDiff]>) {
    paths[path] = `${kinds[found.getKind()] ?? "?"}${found.getInputdiff() ? "" : ", output"}`;
  }
  return { changes: known[response.getChanges()] ?? "unknown", paths };
}
