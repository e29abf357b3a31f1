import "./sparing";
import * as grpc from "@grpc/grpc-js";
import * as pulumi from "@pulumi/pulumi";
import { LanguageRuntimeService } from "@pulumi/pulumi/proto/language_grpc_pb";
import { RunRequest, RunResponse } from "@pulumi/pulumi/proto/language_pb";
import { createRequire } from "node:module";
import type { Program } from "./program";

type Run = grpc.handleUnaryCall<RunRequest, RunResponse>;

/** The Automation API's own server for inline programs; the package ships it without its types. */
interface LanguageServer {
  run: Run;
  getRequiredPlugins: grpc.handleUnaryCall<unknown, unknown>;
  getPluginInfo: grpc.handleUnaryCall<unknown, unknown>;
}

const { LanguageServer: Inline } = createRequire(__filename)("@pulumi/pulumi/automation/server") as {
  LanguageServer: new (program: Program) => LanguageServer;
};

withoutStacks();

/**
 * Serves a program to the engine as its Node language host would, on 127.0.0.1 and a free port, as long as fn runs.
 * Errors of the program are shown by the engine among its diagnostics, in the words of the language host.
 * @param fn gets the address for --client
 * @lazily
 */
export async function withInlineServer<T>(program: Program, fn: (address: string) => Promise<T>): Promise<T> {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  server.addService(LanguageRuntimeService, service(program));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    );
  });
  try {
    return await fn(`127.0.0.1:${port}`);
  } finally {
    server.forceShutdown();
  }
}

/**
 * The SDK leaves channels to ended engines behind, and grpc-js keeps their connections for whoever asks for the same
 * address: a later engine that gets the port of an earlier one would be taken for out of reach (UNAVAILABLE), until the
 * back-off of a connection is over that nobody needs. Channels in use keep theirs.
 */
export function forgetChannels(): void {
  const { getSubchannelPool } = createRequire(__filename)("@grpc/grpc-js/build/src/subchannel-pool") as {
    getSubchannelPool: (global: boolean) => { pool: Record<string, unknown> };
  };
  getSubchannelPool(true).pool = {};
}

/**
 * The SDK writes a stack onto each of its promises, some hundreds a run, for whoever looks for one that never ends. Through the source
 * maps of TypeScript these take a good part of the program's time.
 */
function withoutStacks(): void {
  if (process.env["PULUMI_DEBUG_PROMISE_LEAKS"]) return;
  type Mark = <T>(promise: Promise<T>, context: unknown) => Promise<T>;
  const sdk = createRequire(__filename)("@pulumi/pulumi/runtime/debuggable") as { debuggablePromise: Mark };
  const mark = sdk.debuggablePromise;
  sdk.debuggablePromise = (promise, context) => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      return mark(promise, context);
    } finally {
      Error.stackTraceLimit = limit;
    }
  };
}

function service(program: Program): grpc.UntypedServiceImplementation {
  const inner = new Inline(reporting(program));
  const run: Run = (call, callback) => {
    forgetChannels();
    let answered = false;
    inner.run(call, (err, response) => {
      // The inner server answers a failed run twice; only the first answer counts.
      if (answered) return;
      answered = true;
      if (!err) {
        callback(null, response);
        return;
      }
      // "bail": the program failed and its error was logged, so the engine must not print it once more as its own.
      callback(null, new RunResponse().setError("message" in err ? err.message : "the program failed").setBail(true));
    });
  };
  return {
    run,
    getRequiredPlugins: inner.getRequiredPlugins.bind(inner),
    getPluginInfo: inner.getPluginInfo.bind(inner),
  };
}

/**
 * Logs what the program throws as @pulumi/pulumi/cmd/run does. The inner server would log it once more as unhandled,
 * except for what looks like a broken channel to the engine: so that is thrown on.
 */
function reporting(program: Program): Program {
  return async () => {
    try {
      return await program();
    } catch (err) {
      // A channel that is really broken, or an operation that was cancelled: the engine knows.
      if (silent(err)) throw err;
      await report(err);
      throw new Shown(err);
    }
  };
}

class Shown extends Error {
  readonly code = grpc.status.UNAVAILABLE;
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function silent(err: unknown): boolean {
  const code = err instanceof Error && "code" in err ? err.code : undefined;
  return code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED;
}

async function report(err: unknown): Promise<void> {
  if (pulumi.RunError.isInstance(err)) return pulumi.log.error(err.message);
  if (pulumi.ResourceError.isInstance(err) && err.hideStack) return pulumi.log.error(err.message, err.resource);
  // A file that does not compile: the message has the place, the stack only the compiler's.
  const compiler = err instanceof Error && (err.name === "SyntaxError" || err.message.startsWith("Transform failed"));
  const text = err instanceof Error ? (compiler ? err.message : (err.stack ?? err.message)) : String(err);
  return pulumi.log.error(`Running the program failed with an unhandled exception:\n${text}`);
}
