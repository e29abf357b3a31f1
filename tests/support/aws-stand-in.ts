import * as grpc from "@grpc/grpc-js";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { PluginAttach, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findEngine } from "../../scripts/pulumi/engine";
import { environment } from "../../scripts/stack/backend";
import { OwnStack } from "../../scripts/stack/own";
import { withFolder } from "./folder";
import { plain, struct } from "./wire";

/**
 * Stands where the AWS provider's plugin would: the real one is a download that tests do not have. It shows what Pulumi's
 * engine asks for and what it does not; of Amazon it knows one thing, that the name of a snapshot cannot be changed and
 * is not given twice. All else is taken as it comes.
 */
export interface AwsStandIn {
  /** What points Pulumi's engine to it. */
  env: Record<string, string>;
  /** Calls that would have reached Amazon: `create`, `delete`, and the name of the snapshot, or the type of all else. */
  calls: string[];
  /** Names of the snapshots that there are. */
  snapshots: Set<string>;
  /** Nothing can be asked for: no network, or no credentials. */
  down: boolean;
  stop: () => void;
}

const named = "dbSnapshotIdentifier";
const computed = { arn: "arn:aws:sns:eu-central-1:1:x", keyId: "k", region: "eu-central-1" };

/** Starts it on a free port. */
export async function startAwsStandIn(): Promise<AwsStandIn> {
  const server = new grpc.Server();
  const it: AwsStandIn = { env: {}, calls: [], snapshots: new Set(), down: false, stop: () => server.forceShutdown() };
  const nameOf = (urn: string, values: Record<string, unknown> | undefined): string => {
    const value = values?.[named];
    return typeof value === "string" ? value : (/([^$:]+:[^:]+:[^:]+)::[^:]*$/.exec(urn)?.[1] ?? urn);
  };

  const methods = {
    attach: unary<PluginAttach, Empty>(() => new Empty()),
    getPluginInfo: unary<Empty, PluginInfo>(() => new PluginInfo().setVersion("7.48.0")),
    checkConfig: unary<proto.CheckRequest, proto.CheckResponse>((asked) =>
      new proto.CheckResponse().setInputs(asked.getNews()),
    ),
    diffConfig: unary<proto.DiffRequest, proto.DiffResponse>(() => new proto.DiffResponse()),
    configure: unary<proto.ConfigureRequest, proto.ConfigureResponse>(() => {
      if (it.down) throw refusal("no valid credential sources for AWS found");
      return new proto.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true);
    }),
    check: unary<proto.CheckRequest, proto.CheckResponse>((asked) =>
      new proto.CheckResponse().setInputs(asked.getNews()),
    ),
    diff: unary<proto.DiffRequest, proto.DiffResponse>((asked) => {
      const [old, now] = [asked.getOldInputs(), asked.getNews()].map((values) => nameOf(asked.getUrn(), plain(values)));
      const answer = new proto.DiffResponse();
      if (old === now) return answer.setChanges(proto.DiffResponse.DiffChanges.DIFF_NONE);
      return answer.setChanges(proto.DiffResponse.DiffChanges.DIFF_SOME).setReplacesList([named]).setDiffsList([named]);
    }),
    create: unary<proto.CreateRequest, proto.CreateResponse>((asked) => {
      const values = plain(asked.getProperties()) ?? {};
      const name = nameOf(asked.getUrn(), values);
      if (!asked.getPreview()) {
        it.calls.push(`create ${name}`);
        if (it.snapshots.has(name)) throw refusal(`DBSnapshotAlreadyExists: ${name}`);
        if (named in values) it.snapshots.add(name);
      }
      return new proto.CreateResponse()
        .setId(asked.getPreview() ? "" : name)
        .setProperties(struct({ ...computed, ...values }));
    }),
    delete: unary<proto.DeleteRequest, Empty>((asked) => {
      it.calls.push(`delete ${asked.getId()}`);
      it.snapshots.delete(asked.getId());
      return new Empty();
    }),
    read: unary<proto.ReadRequest, proto.ReadResponse>((asked) =>
      new proto.ReadResponse().setId(asked.getId()).setInputs(asked.getInputs()).setProperties(asked.getProperties()),
    ),
    invoke: unary<proto.InvokeRequest, proto.InvokeResponse>(() =>
      new proto.InvokeResponse().setReturn(struct({ ...computed, accountId: "1" })),
    ),
    cancel: unary<Empty, Empty>(() => new Empty()),
  };
  server.addService(ResourceProviderService, methods);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    );
  });
  it.env = { PULUMI_DEBUG_PROVIDERS: `aws:${port}` };
  return it;
}

const refusal = (details: string): Error => Object.assign(new Error(details), { code: grpc.status.UNKNOWN, details });

function unary<Request, Response>(answer: (request: Request) => Response): grpc.handleUnaryCall<Request, Response> {
  return ({ request }, callback) => {
    try {
      callback(null, answer(request));
    } catch (err) {
      callback(err as grpc.ServiceError);
    }
  };
}

/** Runs a test with a new stack of a project of its own, whose provider of AWS is the stand-in. */
export function withAwsStack<T>(
  aws: AwsStandIn,
  { project, name }: { project: string; name: string },
  test: (own: OwnStack) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const backend = { state: folder, home: join(folder, "home"), passphrase: "tests only" };
    writeFileSync(join(folder, "Pulumi.yaml"), `name: ${project}\nruntime: nodejs\n`);
    const engine = (await findEngine({ log: { line: () => undefined } })).path;
    const own = new OwnStack({ name, folder, engine, env: environment(backend, { ...aws.env, NO_COLOR: "1" }) });
    await own.must(["stack", "init", name]);
    return test(own);
  });
}
