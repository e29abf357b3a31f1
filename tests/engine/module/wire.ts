import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Login } from "../../support/postgres";

/** A wire to a server that loses the answer to the nth COMMIT from now on: the server has committed, nobody hears of it. */
export class Wire {
  /** COMMITs that are let through before the cut; Infinity for no cut. */
  letThrough = Infinity;
  readonly #server: Server;

  constructor(login: Pick<Login, "host" | "port">) {
    this.#server = createServer((client) => this.#join(client, connect(login.port, login.host)));
  }

  async listen(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
  }

  #join(client: Socket, server: Socket): void {
    let cutting = false;
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
    client.on("data", (chunk) => {
      if (chunk.includes("COMMIT\0") && this.letThrough-- <= 0) {
        cutting = true;
        this.letThrough = Infinity;
      }
      server.write(chunk);
    });
    server.on("data", (chunk) => (cutting ? client.destroy() : client.write(chunk)));
  }
}
