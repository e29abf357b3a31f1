import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { PluginInfo, type PluginAttach } from "@pulumi/pulumi/proto/plugin_pb";
import * as pb from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { workOn, type Shape } from "../spec";
import { allProperties, problemsWith } from "./check";
import { changesBetween, type Changes } from "./diff";
import type { Calls } from "./calls";
import type { EngineLog } from "./log";
import { packageSchema } from "./schema";
import { PartlyDone, type Call, type Handler, type Plugin } from "./types";
import { whole } from "./whole";
import { decode, encode, hasUnknown, unknown, type Properties, type Value, type Values } from "./wire";

/** The part of a request that says which resource it is about. */
interface About {
  getUrn(): string;
}

/** Pulumi's ResourceProvider service (proto/pulumi/provider.proto) for one plugin. Knows nothing of PostgreSQL. */
export class Service<Host> {
  #host: Host | undefined;
  readonly #handlers: readonly Handler<Host>[];

  constructor(
    private readonly plugin: Plugin<Host>,
    private readonly calls: Calls,
    private readonly log: EngineLog,
  ) {
    this.#handlers = plugin.resources.map(whole);
  }

  /** @returns what configure made, if it was called */
  get host(): Host | undefined {
    return this.#host;
  }

  /** @returns the gRPC methods; those that this plugin has no use for are left out and answer "unimplemented" */
  methods(): UntypedServiceImplementation {
    const method = this.calls.method.bind(this.calls);
    return {
      handshake: method((r: pb.ProviderHandshakeRequest) => this.#handshake(r)),
      attach: method((r: PluginAttach) => this.#attach(r)),
      getSchema: method(() => this.#getSchema()),
      getPluginInfo: method(() => Promise.resolve(new PluginInfo().setVersion(this.plugin.version))),
      checkConfig: method((r: pb.CheckRequest) => this.#checkConfig(r)),
      diffConfig: method((r: pb.DiffRequest) => Promise.resolve(diffConfig(r))),
      configure: method((r: pb.ConfigureRequest) => this.#configure(r)),
      check: method((r: pb.CheckRequest, signal) => this.#check(r, signal)),
      diff: method((r: pb.DiffRequest, signal) => this.#diff(r, signal)),
      create: method((r: pb.CreateRequest, signal) => this.#create(r, signal)),
      update: method((r: pb.UpdateRequest, signal) => this.#update(r, signal)),
      read: method((r: pb.ReadRequest, signal) => this.#read(r, signal)),
      delete: method((r: pb.DeleteRequest, signal) => this.#delete(r, signal)),
      invoke: method((r: pb.InvokeRequest, signal) => this.#invoke(r, signal)),
      cancel: method(() => {
        this.calls.cancel("stopped by the user (^C or SIGTERM)");
        return Promise.resolve(new Empty());
      }),
    };
  }

  #handshake(request: pb.ProviderHandshakeRequest): Promise<pb.ProviderHandshakeResponse> {
    this.log.connect(request.getEngineAddress());
    const response = new pb.ProviderHandshakeResponse();
    response.setAcceptSecrets(true);
    return Promise.resolve(response);
  }

  #attach(request: PluginAttach): Promise<Empty> {
    this.log.connect(request.getAddress());
    return Promise.resolve(new Empty());
  }

  #getSchema(): Promise<pb.GetSchemaResponse> {
    return Promise.resolve(new pb.GetSchemaResponse().setSchema(JSON.stringify(packageSchema(this.plugin))));
  }

  #checkConfig(request: pb.CheckRequest): Promise<pb.CheckResponse> {
    const news = decode(request.getNews());
    const response = new pb.CheckResponse();
    response.setInputs(encode(news.values, news.secrets));
    const failures = problemsWith(this.plugin.config, configured(news.values));
    for (const failure of failures) response.addFailures(checkFailure(failure));
    return Promise.resolve(response);
  }

  async #configure(request: pb.ConfigureRequest): Promise<pb.ConfigureResponse> {
    // urn:pulumi:STACK::PROJECT::…, since engine 3.140; one process of a plugin serves one stack.
    const stack = /^urn:pulumi:([^:]+)::/.exec(request.getUrn() ?? "")?.[1];
    if (stack !== undefined) workOn(stack);
    this.#host = await this.plugin.configure(configured(decode(request.getArgs()).values));
    const response = new pb.ConfigureResponse();
    response.setAcceptsecrets(true);
    response.setSupportspreview(true);
    return response;
  }

  async #check(request: pb.CheckRequest, signal: AbortSignal): Promise<pb.CheckResponse> {
    const handler = this.#handler(request.getUrn());
    const news = decode(request.getNews());
    const failures = problemsWith(handler.spec.inputs, news.values);
    let inputs = news.values;
    if (failures.length === 0) {
      const olds = decode(request.getOlds()).values;
      const checked = await handler.check(this.#call(request, true, 0, signal), news.values, olds);
      inputs = checked.inputs;
      failures.push(...checked.failures);
    }
    const response = new pb.CheckResponse();
    response.setInputs(encode(inputs, new Set([...news.secrets, ...secretsOf(handler)])));
    for (const failure of failures) response.addFailures(checkFailure(failure));
    return response;
  }

  async #diff(request: pb.DiffRequest, signal: AbortSignal): Promise<pb.DiffResponse> {
    const handler = this.#handler(request.getUrn());
    const changes = await handler.diff(this.#call(request, true, 0, signal), {
      id: request.getId(),
      oldState: decode(request.getOlds()).values,
      oldInputs: decode(request.getOldInputs()).values,
      news: decode(request.getNews()).values,
    });
    return diffResponse(changes, handler.spec);
  }

  async #create(request: pb.CreateRequest, signal: AbortSignal): Promise<pb.CreateResponse> {
    const handler = this.#handler(request.getUrn());
    const inputs = decode(request.getProperties());
    const preview = request.getPreview();
    const call = this.#call(request, preview, request.getTimeout(), signal);
    const secrets = new Set([...inputs.secrets, ...secretsOf(handler)]);
    const { id, state } = await keepingSecrets(secrets, () => handler.create(call, knownInputs(inputs, preview)));
    const response = new pb.CreateResponse();
    response.setId(preview ? "" : id);
    response.setProperties(stateOf(handler, { ...inputs.values, ...state }, secrets, preview));
    return response;
  }

  async #update(request: pb.UpdateRequest, signal: AbortSignal): Promise<pb.UpdateResponse> {
    const handler = this.#handler(request.getUrn());
    const news = decode(request.getNews());
    const preview = request.getPreview();
    const call = this.#call(request, preview, request.getTimeout(), signal);
    const secrets = new Set([...news.secrets, ...secretsOf(handler)]);
    const it = {
      id: request.getId(),
      oldState: decode(request.getOlds()).values,
      oldInputs: decode(request.getOldInputs()).values,
      news: knownInputs(news, preview),
    };
    const state = await keepingSecrets(secrets, () => handler.update(call, it));
    return new pb.UpdateResponse().setProperties(stateOf(handler, { ...news.values, ...state }, secrets, preview));
  }

  async #read(request: pb.ReadRequest, signal: AbortSignal): Promise<pb.ReadResponse> {
    const handler = this.#handler(request.getUrn());
    const inputs = decode(request.getInputs());
    const state = decode(request.getProperties());
    const call = this.#call(request, true, 0, signal);
    const secrets = new Set([...inputs.secrets, ...state.secrets, ...secretsOf(handler)]);
    const read = () => handler.read(call, request.getId(), inputs.values, state.values);
    const result = await keepingSecrets(secrets, read);
    const response = new pb.ReadResponse();
    if (result.gone) return response;
    response.setId(result.id);
    response.setInputs(encode(result.inputs, secrets));
    response.setProperties(encode(result.state, secrets));
    return response;
  }

  async #delete(request: pb.DeleteRequest, signal: AbortSignal): Promise<Empty> {
    const handler = this.#handler(request.getUrn());
    const call = this.#call(request, false, request.getTimeout(), signal);
    const inputs = decode(request.getOldInputs()).values;
    await handler.delete(call, request.getId(), inputs, decode(request.getProperties()).values);
    return new Empty();
  }

  async #invoke(request: pb.InvokeRequest, signal: AbortSignal): Promise<pb.InvokeResponse> {
    const found = this.plugin.functions.find((fn) => fn.spec.token === request.getTok());
    if (!found) throw new Error(`${this.plugin.name} has no function ${request.getTok()}`);
    const args = decode(request.getArgs());
    const response = new pb.InvokeResponse();
    const failures = problemsWith(found.spec.inputs, args.values);
    for (const failure of failures) response.addFailures(checkFailure(failure));
    if (failures.length > 0) return response;
    const about = { getUrn: () => "" };
    const result = await found.invoke(this.#call(about, request.getPreview(), 0, signal), args.values);
    // What was worked out from a secret may give it away.
    const secrets = args.secrets.size > 0 ? Object.keys(result) : secretsAmong(found.spec.outputs);
    return response.setReturn(encode(result, new Set(secrets)));
  }

  #handler(urn: string): Handler<Host> {
    const type = urn.split("::")[2]?.split("$").at(-1);
    const found = this.#handlers.find((handler) => handler.spec.token === type);
    if (!found) throw new Error(`${this.plugin.name} ${this.plugin.version} has no resource type ${type ?? urn}`);
    return found;
  }

  #call(about: About, preview: boolean, timeoutSeconds: number, signal: AbortSignal): Call<Host> {
    this.calls.throwIfBroken();
    if (this.#host === undefined) throw new Error("the provider was not configured");
    const urn = about.getUrn();
    const log = this.log.for(urn);
    return { urn, name: urn.split("::").at(-1) ?? "", preview, timeoutSeconds, log, signal, host: this.#host };
  }
}

function secretsOf(handler: { spec: Handler<unknown>["spec"] }): readonly string[] {
  return secretsAmong(allProperties(handler.spec));
}

function secretsAmong(shape: Shape): readonly string[] {
  return Object.keys(shape).filter((key) => shape[key]?.secret);
}

/** What is done in part comes back in an error; its secrets are to be wrapped there as well. */
async function keepingSecrets<T>(secrets: ReadonlySet<string>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    if (err instanceof PartlyDone) err.secrets = secrets;
    throw err;
  }
}

/** In preview every output that the handler is not certain of is unknown. */
function stateOf(
  { spec }: { spec: Handler<unknown>["spec"] },
  state: Values,
  secrets: ReadonlySet<string>,
  preview: boolean,
): Struct {
  const unsure = preview ? Object.keys({ ...spec.computed, ...spec.outputs }) : [];
  const filled = Object.fromEntries(unsure.map((key): [string, Value] => [key, state[key] ?? unknown]));
  return encode({ ...state, ...filled }, secrets);
}

/** Outside preview everything is known; if the engine ever sent an unknown, it must not reach the database. */
function knownInputs(inputs: Properties, preview: boolean): Values {
  if (!preview && hasUnknown(inputs.values)) throw new Error("the engine sent an unknown value outside preview");
  return inputs.values;
}

/** Provider inputs are strings on the wire: an object travels as JSON. The engine adds keys of its own (version, …). */
function configured(values: Values): Values {
  const own = Object.entries(values).filter(([key]) => !["version", "pluginDownloadURL", "__internal"].includes(key));
  return Object.fromEntries(own.map(([key, value]) => [key, fromJson(value)]));
}

/** What is no JSON stays a string, which the check then refuses without quoting it. */
function fromJson(value: Value): Value {
  if (typeof value !== "string" || !value.startsWith("{")) return value;
  try {
    return JSON.parse(value) as Value;
  } catch {
    return value;
  }
}

/** A provider is never replaced: that would replace every resource, and so roll the whole migration back. */
function diffConfig(request: pb.DiffRequest): pb.DiffResponse {
  return diffResponse(changesBetween(decode(request.getOldInputs()).values, decode(request.getNews()).values));
}

const kinds = {
  add: pb.PropertyDiff.Kind.ADD,
  delete: pb.PropertyDiff.Kind.DELETE,
  update: pb.PropertyDiff.Kind.UPDATE,
  drift: pb.PropertyDiff.Kind.UPDATE,
} as const;

function diffResponse(changes: Changes, spec?: Handler<unknown>["spec"]): pb.DiffResponse {
  const response = new pb.DiffResponse();
  const { DIFF_NONE, DIFF_SOME } = pb.DiffResponse.DiffChanges;
  response.setChanges(changes.size > 0 ? DIFF_SOME : DIFF_NONE);
  response.setHasdetaileddiff(true);
  for (const [path, kind] of changes) {
    const top = path.split(/[.[]/)[0] ?? path;
    response.addDiffs(top);
    const input = kind !== "drift" && (!spec || top in spec.inputs || top in spec.computed);
    const property = new pb.PropertyDiff().setKind(kinds[kind]).setInputdiff(input);
    response.getDetaileddiffMap().set(path, property);
  }
  return response;
}

function checkFailure(failure: { property: string; reason: string }): pb.CheckFailure {
  return new pb.CheckFailure().setProperty(failure.property).setReason(failure.reason);
}
