import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Which way bytes pass: to the server, or back. */
export type Way = "there" | "back";

/** Stands between a client and a server on this machine, and may change what passes. */
export class Relay {
  /** What becomes of a piece that passes; of the same length, or HTTP is cut. */
  change: (piece: Buffer, way: Way) => Buffer = (piece) => piece;
  readonly #server: Server;

  /** @param port of the server */
  constructor(port: number) {
    this.#server = createServer((client) => this.#join(client, connect(port, "127.0.0.1")));
  }

  async start(): Promise<void> {
    await new Promise<void>((listening) => this.#server.listen(0, "127.0.0.1", listening));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
  }

  #join(client: Socket, server: Socket): void {
    const pass = (from: Socket, to: Socket, way: Way): void => {
      from.on("error", () => to.destroy());
      // What was sent before still passes.
      from.on("end", () => to.end());
      from.on("data", (piece) => to.write(this.change(piece, way)));
    };
    pass(client, server, "there");
    pass(server, client, "back");
  }
}

/** One bit of the middle of a piece is another. */
export function flipped(piece: Buffer): Buffer {
  const copy = Buffer.from(piece);
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}
