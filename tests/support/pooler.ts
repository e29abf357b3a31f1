import { createServer, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Client, type ClientConfig } from "pg";

/**
 * Which idle backend the next transaction gets: PgBouncer's default takes the last one back, round robin the first.
 * "own" always gives a client the same one, and forgets its settings (DISCARD ALL) after each transaction.
 */
export type Pick = "last" | "first" | "own";

export interface Pooler {
  readonly port: number;
  /** How often a transaction was lent a backend. */
  lent(): number;
  stop(): Promise<void>;
}

interface Backend {
  client: Client;
  stream: Duplex;
  borrower: Socket | undefined;
  pending: Buffer;
  discarding: boolean;
}

/**
 * A connection pooler in transaction mode, small but real: it answers the start-up itself, lends one of `size` backends
 * from a client's first message until ReadyForQuery says "idle", and lets clients wait when all are lent.
 *
 * @param target  how to log in to the real server; clients of the pooler log in with anything.
 */
export async function startPooler(target: ClientConfig, size: number, pick: Pick = "last"): Promise<Pooler> {
  const idle: Backend[] = [];
  const waiting: { client: Socket; own: Backend | undefined; go: (backend: Backend) => void }[] = [];
  const sockets = new Set<Socket>();
  let lent = 0;

  const release = (backend: Backend) => {
    backend.borrower = undefined;
    if (pick === "own" && !backend.discarding) {
      backend.discarding = true;
      backend.stream.write(message("Q", Buffer.from("DISCARD ALL\0")));
      return;
    }
    backend.discarding = false;
    const at = waiting.findIndex((one) => pick !== "own" || one.own === backend);
    const [next] = at < 0 ? [] : waiting.splice(at, 1);
    if (next) next.go(backend);
    else idle.push(backend);
  };
  const backends = await Promise.all(Array.from({ length: size }, () => connectBackend(target, release)));
  idle.push(...backends);

  const server = createServer((client) => {
    const own = backends[sockets.size % size];
    sockets.add(client);
    let started = false;
    let backend: Backend | undefined;
    let held: Buffer[] = [];
    const lend = (got: Backend) => {
      lent++;
      got.borrower = client;
      backend = got;
      held.forEach((chunk) => got.stream.write(chunk));
      held = [];
    };
    client.on("error", () => undefined);
    client.on("close", () => {
      sockets.delete(client);
      const at = waiting.findIndex((one) => one.client === client);
      if (at >= 0) waiting.splice(at, 1);
      // A client that leaves inside a transaction: roll back on its behalf, which releases the backend.
      if (backend?.borrower === client) backend.stream.write(message("Q", Buffer.from("ROLLBACK\0")));
    });
    client.on("data", (chunk) => {
      if (!started) {
        started = answerStartup(client, chunk);
        return;
      }
      if (chunk.at(0) === 0x58 /* Terminate */) return void client.end();
      if (backend?.borrower === client) return void backend.stream.write(chunk);
      held.push(chunk);
      if (held.length > 1) return;
      const last = pick === "own" && own ? idle.indexOf(own) : idle.length - 1;
      const [free] = pick === "first" ? idle.splice(0, 1) : last < 0 ? [] : idle.splice(last, 1);
      if (free) lend(free);
      else waiting.push({ client, own, go: lend });
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    lent: () => lent,
    stop: async () => {
      sockets.forEach((socket) => socket.destroy());
      backends.forEach((one) => one.stream.destroy());
      await new Promise((done) => server.close(done));
    },
  };
}

/** Logs in with pg, then takes the socket over: from here on bytes go through as they are. */
async function connectBackend(target: ClientConfig, release: (backend: Backend) => void): Promise<Backend> {
  const client = new Client(target);
  client.on("error", () => undefined);
  await client.connect();
  const { stream } = client.connection;
  const backend: Backend = { client, stream, borrower: undefined, pending: Buffer.alloc(0), discarding: false };
  stream.removeAllListeners("data");
  stream.on("data", (chunk: Buffer) => {
    backend.borrower?.write(chunk);
    backend.pending = Buffer.concat([backend.pending, chunk]);
    // Messages: one byte of type, four of length; Z is ReadyForQuery, whose one byte is I when no transaction is open.
    while (backend.pending.length >= 5) {
      const length = 1 + backend.pending.readInt32BE(1);
      if (backend.pending.length < length) break;
      const ready = backend.pending.at(0) === 0x5a && backend.pending.at(5) === 0x49;
      backend.pending = backend.pending.subarray(length);
      if (ready) release(backend);
    }
  });
  return backend;
}

/** True once the start-up packet was answered with AuthenticationOk, BackendKeyData and ReadyForQuery. */
function answerStartup(client: Socket, packet: Buffer): boolean {
  if (packet.readInt32BE(4) === 80877103 /* SSLRequest */) {
    client.write("N");
    return false;
  }
  const version = Buffer.from("server_version\0" + "15.0\0");
  client.write(
    Buffer.concat([
      message("R", Buffer.alloc(4)),
      message("S", version),
      message("K", Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])),
      message("Z", Buffer.from("I")),
    ]),
  );
  return true;
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
