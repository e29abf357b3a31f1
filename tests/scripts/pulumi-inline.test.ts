import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { createServer } from "node:net";
import { forgetChannels } from "../../scripts/pulumi/inline";

const insecure = grpc.credentials.createInsecure();

/** @returns whether a client reaches the address within a moment */
function reached(address: string): Promise<boolean> {
  const client = new grpc.Client(address, insecure);
  return new Promise((resolve) => {
    client.waitForReady(Date.now() + 300, (err) => {
      resolve(err === undefined);
      client.close();
    });
  });
}

describe("the inline program's channels", () => {
  it("to an engine that is gone do not stand in the way of one that gets its port", async () => {
    const free = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => free.once("listening", resolve));
    const { port } = free.address() as { port: number };
    await new Promise((resolve) => free.close(resolve));
    const address = `127.0.0.1:${port}`;
    // As the SDK leaves it: never closed, and in its back-off, which is a second at first and grows.
    const left = new grpc.Client(address, insecure);
    left.waitForReady(Date.now() + 4000, () => undefined);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const server = new grpc.Server();
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve())),
    );
    try {
      expect(await reached(address), "as grpc-js keeps it").to.equal(false);
      forgetChannels();
      expect(await reached(address), "forgotten").to.equal(true);
    } finally {
      left.close();
      server.forceShutdown();
    }
  });
});
