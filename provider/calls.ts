import * as grpc from "@grpc/grpc-js";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { printable, type EngineLog } from "./log";
import { PartlyDone } from "./types";
import { encode } from "./wire";

/**
 * Answers each call exactly once: on success, on failure, and when something throws that no call awaits. Without the
 * last, a stray throw would leave the engine waiting for ever.
 */
export class Calls {
  readonly #running = new Set<{ answer: (err: Error) => void; abort: AbortController }>();
  #broken: Error | undefined;

  constructor(private readonly log: EngineLog) {}

  /** @returns a gRPC method that runs `work` and answers once */
  method<Request, Response>(
    work: (request: Request, signal: AbortSignal) => Promise<Response>,
  ): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
      let open = true;
      const abort = new AbortController();
      const finish = (err: unknown, response?: Response): void => {
        if (!open) return;
        open = false;
        this.#running.delete(running);
        void this.log.flush().then(() => {
          if (response !== undefined) callback(null, response);
          else callback(failure(err));
        });
      };
      // The engine takes no answer any more: what would go on would go on for nobody.
      call.once("cancelled", () => open && abort.abort(stopped("the engine gave this call up")));
      const running = { answer: (err: Error) => finish(err), abort };
      this.#running.add(running);
      work(call.request, abort.signal).then((response) => finish(undefined, response), finish);
    };
  }

  /** Asks every running call to stop; each still answers for itself. What it throws then is an AbortError, as Node's own. */
  cancel(reason: string): void {
    const err = stopped(reason);
    for (const running of this.#running) running.abort.abort(err);
  }

  /** Stops and fails every running call at once, and every later one: the process is no longer to be trusted. */
  fail(err: Error): void {
    this.#broken ??= err;
    if (this.#running.size === 0) this.log.for("").warn(err.message);
    for (const running of [...this.#running]) {
      running.answer(err);
      running.abort.abort(err);
    }
  }

  /** @throws what the process came to grief over */
  throwIfBroken(): void {
    if (this.#broken) throw this.#broken;
  }

  /** @returns how many calls wait for an answer */
  get size(): number {
    return this.#running.size;
  }
}

const stopped = (reason: string): Error => Object.assign(new Error(reason), { name: "AbortError", code: "ABORT_ERR" });

function failure(err: unknown): grpc.ServerErrorResponse {
  if (err instanceof PartlyDone) return partly(err);
  const message = printable(err instanceof Error ? err.message : String(err));
  return Object.assign(new Error(message), { code: grpc.status.UNKNOWN, details: message });
}

/** The status detail by which the engine keeps the state of a resource that is done in part. */
function partly(err: PartlyDone): grpc.ServerErrorResponse {
  const detail = new ErrorResourceInitFailed();
  detail.setId(err.id);
  detail.setProperties(encode(err.state, err.secrets));
  detail.setInputs(encode(err.inputs, err.secrets));
  detail.setReasonsList(err.reasons.map(printable));
  const any = new Any();
  any.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new Status();
  status.setCode(grpc.status.UNKNOWN);
  const message = printable(err.message);
  status.setMessage(message);
  status.addDetails(any);
  const metadata = new grpc.Metadata();
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return Object.assign(new Error(message), { code: grpc.status.UNKNOWN, details: message, metadata });
}
