import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { PluginInfo, type PluginAttach } from "@pulumi/pulumi/proto/plugin_pb";
import * as pb from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { allProperties, problemsWith } from "./check";
import { changesBetween, type Changes } from "./diff";
import type { Calls } from "./calls";
import type { EngineLog } from "./log";
import { packageSchema } from "./schema";
import type { Call, Handler, PartlyDone, Plugin } from "./types";
import { decode, encode, hasUnknown, unknown, type Properties, type Value, type Values } from "./wire";

/** The part of a request that says which resource it is about. */
interface About {
  getUrn(): string;
}

/** Pulumi's ResourceProvider service (proto/pulumi/provider.proto) for one plugin. Knows nothing of PostgreSQL. */
export class Service<Host> {
  #host: Host | undefined;

  constructor(
    private readonly plugin: Plugin<Host>,
    private readonly calls: Calls,
    private readonly log: EngineLog,
  ) {}

  /** @returns what configure made, if it was called */
  get host(): Host | undefined {
    return this.#host;
  }

  /** @returns the gRPC methods; those that this plugin has no use for are left out and answer "unimplemented" */
  methods(): UntypedServiceImplementation {
    const method = this.calls.method.bind(this.calls);
    const secret = (err: PartlyDone): ReadonlySet<string> => secretsIn(err.state, this.plugin.resources);
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
      create: method((r: pb.CreateRequest, signal) => this.#create(r, signal), secret),
      update: method((r: pb.UpdateRequest, signal) => this.#update(r, signal), secret),
      read: method((r: pb.ReadRequest, signal) => this.#read(r, signal), secret),
      delete: method((r: pb.DeleteRequest, signal) => this.#delete(r, signal)),
      invoke: method((r: pb.InvokeRequest, signal) => this.#invoke(r, signal)),
      cancel: method(() => {
        this.calls.cancel("stopped by the user (^C)");
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
      const checked = await handler.check(this.#call(request, true, 0, signal), news.values);
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
    const { id, state } = await handler.create(call, knownInputs(inputs, preview));
    const response = new pb.CreateResponse();
    response.setId(preview ? "" : id);
    response.setProperties(this.#state(handler, inputs, state, preview));
    return response;
  }

  async #update(request: pb.UpdateRequest, signal: AbortSignal): Promise<pb.UpdateResponse> {
    const handler = this.#handler(request.getUrn());
    const news = decode(request.getNews());
    const preview = request.getPreview();
    const state = await handler.update(this.#call(request, preview, request.getTimeout(), signal), {
      id: request.getId(),
      oldState: decode(request.getOlds()).values,
      oldInputs: decode(request.getOldInputs()).values,
      news: knownInputs(news, preview),
    });
    return new pb.UpdateResponse().setProperties(this.#state(handler, news, state, preview));
  }

  async #read(request: pb.ReadRequest, signal: AbortSignal): Promise<pb.ReadResponse> {
    const handler = this.#handler(request.getUrn());
    const inputs = decode(request.getInputs());
    const state = decode(request.getProperties());
    const call = this.#call(request, true, 0, signal);
    const result = await handler.read(call, request.getId(), inputs.values, state.values);
    const response = new pb.ReadResponse();
    if (result.gone) return response;
    const secrets = new Set([...inputs.secrets, ...state.secrets, ...secretsOf(handler)]);
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
    const result = await found.invoke(this.#call(about, true, 0, signal), args.values);
    return response.setReturn(encode(result, new Set()));
  }

  #state(handler: Handler<Host>, inputs: Properties, state: Values, preview: boolean): Struct {
    const all = { ...inputs.values, ...state };
    if (preview) {
      for (const key of Object.keys(allProperties(handler.spec))) all[key] ??= unknown;
    }
    return encode(all, new Set([...inputs.secrets, ...secretsOf(handler)]));
  }

  #handler(urn: string): Handler<Host> {
    const type = urn.split("::")[2]?.split("$").at(-1);
    const found = this.plugin.resources.find((handler) => handler.spec.token === type);
    if (!found) throw new Error(`${this.plugin.name} ${this.plugin.version} has no resource type ${type ?? urn}`);
    return found;
  }

  #call(about: About, preview: boolean, timeoutSeconds: number, signal: AbortSignal): Call<Host> {
    if (this.#host === undefined) throw new Error("the provider was not configured");
    const urn = about.getUrn();
    const log = this.log.for(urn);
    return { urn, name: urn.split("::").at(-1) ?? "", preview, timeoutSeconds, log, signal, host: this.#host };
  }
}

function secretsOf(handler: { spec: Handler<unknown>["spec"] }): ReadonlySet<string> {
  const properties = Object.entries(allProperties(handler.spec));
  return new Set(properties.filter(([, property]) => property.secret).map(([key]) => key));
}

/** Every property that any resource calls secret: part-done state does not say which resource it is of. */
function secretsIn(state: Values, handlers: readonly { spec: Handler<unknown>["spec"] }[]): ReadonlySet<string> {
  return new Set(handlers.flatMap((handler) => [...secretsOf(handler)]).filter((key) => key in state));
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

function fromJson(value: Value): Value {
  return typeof value === "string" && value.startsWith("{") ? (JSON.parse(value) as Value) : value;
}

/** A provider is never replaced: that would replace every resource, and so roll the whole migration back. */
function diffConfig(request: pb.DiffRequest): pb.DiffResponse {
  return diffResponse(changesBetween(decode(request.getOldInputs()).values, decode(request.getNews()).values));
}

const kinds = {
  add: pb.PropertyDiff.Kind.ADD,
  delete: pb.PropertyDiff.Kind.DELETE,
  update: pb.PropertyDiff.Kind.UPDATE,
} as const;

function diffResponse(changes: Changes, spec?: Handler<unknown>["spec"]): pb.DiffResponse {
  const response = new pb.DiffResponse();
  const { DIFF_NONE, DIFF_SOME } = pb.DiffResponse.DiffChanges;
  response.setChanges(changes.size > 0 ? DIFF_SOME : DIFF_NONE);
  response.setHasdetaileddiff(true);
  for (const [path, kind] of changes) {
    const top = path.split(/[.[]/)[0] ?? path;
    response.addDiffs(top);
    const input = !spec || top in spec.inputs || top in spec.computed;
    const property = new pb.PropertyDiff().setKind(kinds[kind]).setInputdiff(input);
    response.getDetaileddiffMap().set(path, property);
  }
  return response;
}

function checkFailure(failure: { property: string; reason: string }): pb.CheckFailure {
  return new pb.CheckFailure().setProperty(failure.property).setReason(failure.reason);
}
