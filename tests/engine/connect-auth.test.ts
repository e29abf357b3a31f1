import { createServer, type AddressInfo, type Socket } from "node:net";
import { expect } from "chai";
import { resolveConnection } from "../../engine/connect";
import { discard, openClient } from "../../engine/connect/open";
import { GuardianError } from "../../engine/base/errors";

/** Messages of a server that lets in whoever says anything (manual, 55.2.1). */
const [cleartext, letIn] = [
  Buffer.from("520000000800000003", "hex"),
  Buffer.from("5200000008000000005a0000000549", "hex"),
];

/** A server that asks in clear text, or not at all; what it was told besides the start. */
async function withServer(
  asks: "in clear text" | "not",
  test: (port: number, told: () => string) => Promise<void>,
): Promise<void> {
  let told = "";
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(asks === "not" ? letIn : cleartext);
      socket.on("data", (chunk) => {
        told += chunk.toString("latin1");
        if (chunk[0] === 0x70) socket.write(letIn);
      });
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    await test((server.address() as AddressInfo).port, () => told);
  } finally {
    for (const socket of open) socket.destroy();
    server.close();
  }
}

async function connect(port: number, env: Record<string, string> = {}): Promise<GuardianError | undefined> {
  const input = { host: "127.0.0.1", port, database: "d", user: "u", sslmode: "disable", passwordFrom: "env:PW" };
  try {
    await discard(await openClient(resolveConnection(input, { PW: "geheim", HOME: "/none", ...env }), "test"));
    return undefined;
  } catch (err) {
    if (err instanceof GuardianError) return err;
    throw err;
  }
}

describe("how a server may ask for the password", function () {
  this.timeout(120_000);

  it("16-18 in clear text, without TLS: it does not get it", () =>
    withServer("in clear text", async (port, told) => {
      const said = await connect(port);
      expect(said?.code).to.equal("password-exposed");
      expect(said?.message).to.match(/asks for the password of user u in clear text, over a connection without TLS/);
      expect(said?.todo.join()).to.contain("sslmode to require").and.contain("PGREQUIREAUTH=password");
      expect(told() + said!.message).not.to.contain("geheim");
    }));

  it("but where somebody said that nobody listens", () =>
    withServer("in clear text", async (port, told) => {
      expect(await connect(port, { PGREQUIREAUTH: "password" })).to.equal(undefined);
      expect(told()).to.contain("geheim");
    }));

  it("only as require_auth says, as in libpq; not at all where it must ask", async () => {
    await withServer("in clear text", async (port, told) => {
      for (const methods of ["scram-sha-256", "!password", "md5, none"]) {
        const said = await connect(port, { PGREQUIREAUTH: methods });
        expect(said?.what, methods).to.contain(
          `by the method password, which require_auth (${methods}) does not allow`,
        );
      }
      expect(told()).not.to.contain("geheim");
    });
    await withServer("not", async (port) => {
      expect((await connect(port, { PGREQUIREAUTH: "scram-sha-256" }))?.what).to.match(
        /^the server asks for no password/,
      );
      expect(await connect(port, { PGREQUIREAUTH: "none" })).to.equal(undefined);
      expect(await connect(port)).to.equal(undefined);
    });
  });
});
