import * as grpc from "@grpc/grpc-js";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Calls } from "./calls";
import { EngineLog } from "./log";
import { Service } from "./service";
import type { Plugin } from "./types";

/** Largest message either way, in bytes; the SDK's own figure. */
const largestMessage = 1024 * 1024 * 400;

/** A plugin that is to be served; which process it is in, and how that ends, is another matter. */
export interface Served<Host> {
  calls: Calls;
  /** What configure made, if it was called. */
  host(): Host | undefined;
  /** Begins to listen on 127.0.0.1; the port. */
  listen(): Promise<number>;
  /** Ends all connections, the one to the engine too. */
  stop(): void;
}

/** @param engine host:port of the engine, if it is known before the handshake */
export function served<Host>(plugin: Plugin<Host>, engine?: string): Served<Host> {
  const log = new EngineLog();
  const calls = new Calls(log);
  const service = new Service(plugin, calls, log);
  const server = new grpc.Server({
    "grpc.max_receive_message_length": largestMessage,
    "grpc.max_send_message_length": largestMessage,
  });
  server.addService(ResourceProviderService, service.methods());
  if (engine) log.connect(engine);
  const listen = (): Promise<number> =>
    new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (err, port) => {
        if (err) reject(err);
        else resolve(port);
      });
    });
  const stop = (): void => {
    server.forceShutdown();
    log.close();
  };
  return { calls, host: () => service.host, listen, stop };
}
