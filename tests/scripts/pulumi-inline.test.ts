import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { forgetChannels } from "../../scripts/pulumi/inline";
import { until } from "../support/processes";
import { long } from "../support/long";

const insecure = grpc.credentials.createInsecure();
/** A back-off that no test outlasts, instead of the second at first, which grows. */
const backOff = { "grpc.initial_reconnect_backoff_ms": 600_000, "grpc.max_reconnect_backoff_ms": 600_000 };

/** @returns whether a client reaches the address within so many milliseconds */
function reached(address: string, within: number): Promise<boolean> {
  const client = new grpc.Client(address, insecure, backOff);
  return new Promise((resolve) => {
    client.waitForReady(Date.now() + within, (err) => {
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
    // As the SDK leaves it: never closed, and in its back-off.
    const left = new grpc.Client(address, insecure, backOff);
    const { TRANSIENT_FAILURE } = grpc.connectivityState;
    await until("it is in its back-off", () => left.getChannel().getConnectivityState(true) === TRANSIENT_FAILURE);
    const server = new grpc.Server();
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve())),
    );
    try {
      expect(await reached(address, 300), "as grpc-js keeps it").to.equal(false);
      forgetChannels();
      expect(await reached(address, 30_000), "forgotten").to.equal(true);
    } finally {
      left.close();
      server.forceShutdown();
    }
  });
});

describe("Pulumi's SDK", () => {
  long("comes without compiler and package manager, and has them where a function becomes a resource", () => {
    const script = `require("./scripts/pulumi/inline");
      const { runtime } = require("@pulumi/pulumi");
      const loaded = () => ["typescript/lib", "@npmcli/arborist/lib/arborist"].map((part) =>
        Object.keys(require.cache).some((file) => file.includes(part)));
      const before = loaded();
      runtime.serializeFunction(() => "served").then(async ({ text }) => {
        const paths = await runtime.computeCodePaths({});
        console.log(JSON.stringify({ before, after: loaded(), served: text.includes("served"), paths: paths.size > 0 }));
      });`;
    const { stdout, stderr } = spawnSync(process.execPath, ["--require", "tsx/cjs", "-e", script], {
      cwd: join(__dirname, "..", ".."),
      encoding: "utf8",
    });
    expect(JSON.parse(stdout || "{}"), stderr).to.deep.equal({
      before: [false, false],
      after: [true, true],
      served: true,
      paths: true,
    });
  }).timeout(120_000);

  it("writes no stack onto its promises, and keeps that of errors", async () => {
    const { debuggablePromise } = require("@pulumi/pulumi/runtime/debuggable") as {
      debuggablePromise: <T>(promise: Promise<T>, context: string) => Promise<T>;
    };
    const promise = Promise.resolve(1);
    expect(await debuggablePromise(promise, "of a test")).to.equal(1);
    expect(promise).to.include({ _debugCtx: "of a test", _debugStackTrace: "Error" });
    expect(new Error("one").stack).to.contain("pulumi-inline.test.ts");
  });
});
