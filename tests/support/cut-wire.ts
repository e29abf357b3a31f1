import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A wire to a server that a test cuts at COMMIT, or at another statement that says so. */
export abstract class CutWire {
  /** What the statement has in it. */
  protected readonly sign: string = "COMMIT\0";
  /** Refuses every later connection. */
  closed = false;
  readonly #server: Server;

  constructor(host: string, port: number) {
    this.#server = createServer((client) => this.#join(client, connect(port, host)));
  }

  /**
   * What becomes of it once it is sent. `before`: the server never sees it; `after`: it has done it, and nobody hears of it.
   */
  protected abstract cutNow(): "no" | "before" | "after";

  /** @returns the port to connect to */
  async listen(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
  }

  #join(client: Socket, server: Socket): void {
    if (this.closed) return void client.destroy();
    let cut: "no" | "before" | "after" = "no";
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
    client.on("data", (chunk) => {
      if (chunk.includes(this.sign)) cut = this.cutNow();
      if (cut === "before") client.destroy();
      else server.write(chunk);
    });
    server.on("data", (chunk) => (cut === "no" ? client.write(chunk) : client.destroy()));
  }
}
