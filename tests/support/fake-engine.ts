import * as grpc from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogSeverity, type LogRequest } from "@pulumi/pulumi/proto/engine_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";

/** One thing that a plugin said to its engine. */
interface LogLine {
  severity: "debug" | "info" | "warning" | "error";
  urn: string;
  message: string;
  /** True for the moving status line, which is not kept. */
  ephemeral: boolean;
}

/** The part of Pulumi's engine that a plugin talks to: it records logs. */
export interface FakeEngine {
  /** host:port, as the engine gives it to a plugin. */
  address: string;
  logs: LogLine[];
  stop(): void;
}

const severities = {
  [LogSeverity.DEBUG]: "debug",
  [LogSeverity.INFO]: "info",
  [LogSeverity.WARNING]: "warning",
  [LogSeverity.ERROR]: "error",
} as const;

/**
 * Starts a fake engine on a free port.
 * @param delay milliseconds before a log call is answered: an engine that is busy
 */
export async function startEngine(delay = 0): Promise<FakeEngine> {
  const logs: LogLine[] = [];
  const log: grpc.handleUnaryCall<LogRequest, Empty> = ({ request }, answer) => {
    setTimeout(() => {
      const severity = severities[request.getSeverity()];
      logs.push({
        severity,
        urn: request.getUrn(),
        message: request.getMessage(),
        ephemeral: request.getEphemeral(),
      });
      answer(null, new Empty());
    }, delay);
  };
  const server = new grpc.Server();
  server.addService(EngineService, { log });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, logs, stop: () => server.forceShutdown() };
}
