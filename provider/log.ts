import * as grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import type { CallLog } from "./types";

/** What moves a terminal's cursor or turns the direction of writing: control characters but tab and line feed. */
const unprintable = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** @param text in which names may be that anybody has chosen @returns it for a terminal */
export const printable = (text: string): string =>
  text.replace(unprintable, (found) => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);

/** The engine's log: all that the user sees of this process. */
export class EngineLog {
  #client: EngineClient | undefined;
  /** Log calls that the engine has not answered yet; an answer must not overtake them. */
  readonly #pending = new Set<Promise<void>>();

  /** @param address host:port of the engine, from the handshake */
  connect(address: string): void {
    this.#client = new EngineClient(address, grpc.credentials.createInsecure());
  }

  /** @returns what a call on this resource says things with */
  for(urn: string): CallLog {
    return {
      info: (message) => this.#send(LogSeverity.INFO, urn, message, false),
      warn: (message) => this.#send(LogSeverity.WARNING, urn, message, false),
      status: (message) => this.#send(LogSeverity.INFO, urn, message, true),
    };
  }

  /** Waits until the engine has all that was said; what comes after the answer may not be shown any more. */
  async flush(): Promise<void> {
    await Promise.all(this.#pending);
  }

  close(): void {
    this.#client?.close();
  }

  #send(severity: LogSeverity, urn: string, message: string, ephemeral: boolean): void {
    const client = this.#client;
    if (!client) return;
    const request = new LogRequest();
    request.setSeverity(severity);
    request.setUrn(urn);
    request.setMessage(printable(message));
    request.setEphemeral(ephemeral);
    // A lost log line must not fail a migration: the engine may be gone.
    const sent = new Promise<void>((resolve) => {
      client.log(request, new grpc.Metadata(), { deadline: Date.now() + 5000 }, () => resolve());
    });
    this.#pending.add(sent);
    void sent.then(() => this.#pending.delete(sent));
  }
}
