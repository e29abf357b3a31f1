import * as grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { ErrorResourceInitFailed, ProviderHandshakeRequest } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { spawn, type ChildProcess } from "node:child_process";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { served } from "../../provider/server";
import type { Plugin } from "../../provider/types";
import { plugin as product } from "../../resources/registry";
import { startEngine, type FakeEngine } from "./fake-engine";
import { plain, type Wire } from "./wire";

/** The project's folder. */
export const root = join(__dirname, "..", "..");

/** The executables that the tests boot. */
export const productPlugin = join(root, "provider", "pulumi-resource-guardian-migration");
export const toyPlugin = join(root, "tests", "support", "toy", "pulumi-resource-toy");

export interface PluginOptions {
  /** The executable; absent: the product's. */
  executable?: string;
  env?: Record<string, string>;
  /** An engine of the test's own. */
  engine?: FakeEngine;
}

/** A call that failed. */
export interface CallFailure {
  code: grpc.status;
  message: string;
  /** What was done in part, if the error says so. */
  partly?: {
    id: string;
    properties: Record<string, Wire> | undefined;
    inputs: Record<string, Wire> | undefined;
    reasons: string[];
  };
}

/** A plugin that is spoken to as the engine does it. */
export interface ServedPlugin {
  client: ResourceProviderClient;
  engine: FakeEngine;
  /** One call. @throws CallFailure as an Error */
  call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response>;
  /** One call that is to fail. */
  fail<Request, Response>(method: Method<Request, Response>, request: Request): Promise<CallFailure>;
}

/** A plugin process, booted as the engine does it. */
export interface BootedPlugin extends ServedPlugin {
  child: ChildProcess;
  pid: number;
  port: number;
  /** All that it printed on stdout, the port included, and on stderr. */
  printed: { stdout: string; stderr: string };
  /** Resolves with the exit code, or the signal's name. */
  exited: Promise<number | string>;
  /** The engine's way of ending a plugin: SIGINT to its process group; SIGKILL after 5 s. */
  close(): Promise<void>;
}

type Method<Request, Response> = (
  this: ResourceProviderClient,
  request: Request,
  metadata: grpc.Metadata,
  options: Partial<grpc.CallOptions>,
  callback: (error: grpc.ServiceError | null, response: Response) => void,
) => unknown;

/** Runs a test with a plugin in a process of its own; afterwards neither process nor connection is left. */
export async function withPlugin<T>(options: PluginOptions, test: (plugin: BootedPlugin) => Promise<T>): Promise<T> {
  const engine = options.engine ?? (await startEngine());
  try {
    const plugin = await boot(options, engine);
    try {
      return await test(plugin);
    } finally {
      await plugin.close();
    }
  } finally {
    if (!options.engine) engine.stop();
  }
}

/** sdk/go/common/resource/plugin/plugin.go: its own process group, stdin open, the engine's address the one argument. */
async function boot(options: PluginOptions, engine: FakeEngine): Promise<BootedPlugin> {
  const executable = options.executable ?? productPlugin;
  const child = spawn(executable, [engine.address], {
    cwd: tmpdir(),
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const pid = child.pid ?? 0;
  const printed = { stdout: "", stderr: "" };
  child.stdin.on("error", () => undefined);
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
  }
  const exited = new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? -1));
  });
  const line = await firstLine(printed, exited);
  if (!/^\d+$/.test(line)) throw new Error(`the first line is no port: ${JSON.stringify(line)}`);
  const port = Number(line);
  const { client, call, fail } = speakTo(port);
  const close = async (): Promise<void> => {
    client.close();
    signalGroup(pid, "SIGINT");
    const ended = await Promise.race([exited, sleep(5000, "still there", { ref: false })]);
    if (ended === "still there") signalGroup(pid, "SIGKILL");
    await exited;
  };
  await call(client.handshake, handshakeOf(executable, engine)).catch(reject(close));
  return { client, engine, child, pid, port, printed, exited, call, fail, close };
}

/** Calls of a plugin that listens on a port of this machine. */
function speakTo(port: number): Pick<ServedPlugin, "client" | "call" | "fail"> {
  const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const call = <Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> =>
    new Promise((resolve, reject) => {
      method.call(client, request, new grpc.Metadata(), {}, (err, response) =>
        err ? reject(failure(err)) : resolve(response),
      );
    });
  const fail = async <Request, Response>(method: Method<Request, Response>, request: Request): Promise<CallFailure> => {
    const outcome = await call(method, request).then(
      () => undefined,
      (err: unknown) => err as CallFailure,
    );
    if (!outcome) throw new Error("the call succeeded, and should not have");
    return outcome;
  };
  return { client, call, fail };
}

/** Runs a test with the product's plugin in this process. */
export async function withServed<T>(test: (plugin: ServedPlugin) => Promise<T>): Promise<T> {
  const plugin = await serveHere(product);
  try {
    return await test(plugin);
  } finally {
    await plugin.close();
  }
}

/**
 * A plugin in this process, over gRPC all the same: as fresh as one that was booted, for what it knows it knows by its connection,
 * and without the second of CPU in which a process becomes a plugin.
 */
export async function serveHere<Host>(plugin: Plugin<Host>): Promise<ServedPlugin & { close(): Promise<void> }> {
  const engine = await startEngine();
  const { calls, host, listen, stop } = served(plugin, engine.address);
  const spoken = speakTo(await listen());
  const close = async (): Promise<void> => {
    calls.cancel("the test is over");
    const configured = host();
    if (configured) await plugin.close(configured);
    spoken.client.close();
    stop();
    engine.stop();
  };
  return { ...spoken, engine, close };
}

/** What engine 3.250.0 says in a handshake. */
export function handshakeOf(executable: string, engine: FakeEngine): ProviderHandshakeRequest {
  const request = new ProviderHandshakeRequest();
  request.setEngineAddress(engine.address);
  request.setRootDirectory(dirname(executable));
  request.setProgramDirectory(dirname(executable));
  request.setConfigureWithUrn(true);
  request.setSupportsViews(true);
  request.setSupportsRefreshBeforeUpdate(true);
  request.setInvokeWithPreview(true);
  return request;
}

function reject(close: () => Promise<unknown>): (err: unknown) => Promise<never> {
  return async (err) => {
    await close();
    throw err;
  };
}

async function firstLine(printed: { stdout: string; stderr: string }, exited: Promise<unknown>): Promise<string> {
  const gone = { yet: false };
  void exited.then(() => (gone.yet = true));
  for (let i = 0; i < 6000; i++) {
    const end = printed.stdout.indexOf("\n");
    if (end >= 0) return printed.stdout.slice(0, end);
    if (gone.yet) throw new Error(`the plugin ended before it said its port:\n${printed.stdout}${printed.stderr}`);
    await sleep(10);
  }
  throw new Error("the plugin said no port within 60 s");
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // gone already
  }
}

/** True while a process of that id is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function failure(err: grpc.ServiceError): CallFailure & Error {
  const [details] = err.metadata.get("grpc-status-details-bin");
  const found = details === undefined ? undefined : partlyDone(Buffer.from(details));
  const base = Object.assign(new Error(err.details), { code: err.code });
  return found ? Object.assign(base, { partly: found }) : base;
}

function partlyDone(binary: Buffer): NonNullable<CallFailure["partly"]> {
  const [any] = Status.deserializeBinary(binary).getDetailsList();
  const type = "pulumirpc.ErrorResourceInitFailed";
  if (any?.getTypeName() !== type) throw new Error(`a status detail of type ${any?.getTypeName() ?? "none"}`);
  const detail = ErrorResourceInitFailed.deserializeBinary(any.getValue_asU8());
  return {
    id: detail.getId(),
    properties: plain(detail.getProperties()),
    inputs: plain(detail.getInputs()),
    reasons: detail.getReasonsList(),
  };
}
