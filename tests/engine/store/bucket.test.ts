import { expect } from "chai";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Bucket } from "../../../engine/store/bucket";
import { parseIndex } from "../../../engine/store/contents";
import { logIn, owner } from "./harness";

describe("backups off the machine: one object", function () {
  this.timeout(60_000);

  it("18-4 an index is of the folder that it is in, and sends nobody to another", () => {
    const part = { path: "manifest.json", object: "manifest.json", size: 1, sha256: "" };
    const index = { formatVersion: 1, owner, takenAt: "", encryption: "none", recipients: [], parts: [part] };
    const read = (name: string) => parseIndex(JSON.stringify({ ...index, name }), "mine", "s3://b/mine/index.json");
    expect(read("mine").parts).to.deep.equal([part]);
    for (const name of ["another", "../another"]) expect(() => read(name)).to.throw("is of another backup");
  });

  it("18-4 of an index that somebody made endless no more is read than an index may have", async () => {
    const [piece, all] = [Buffer.alloc(64 * 1024, "x"), 256 * 1024 * 1024];
    let sent = 0;
    const send = (response: ServerResponse): void => {
      while (sent < all && !response.destroyed) {
        sent += piece.length;
        if (!response.write(piece)) return void response.once("drain", () => send(response));
      }
      response.end();
    };
    const server = createServer((_asked, response) => send(response.writeHead(200)));
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const logOut = logIn({ AWS_ACCESS_KEY_ID: "TESTKEY", AWS_SECRET_ACCESS_KEY: "of-no-worth" });
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const bucket = new Bucket({ to: "s3://backups/x", recipients: ["none"], endpoint });
    try {
      expect(await bucket.text("index.json", 4096)).to.equal("x".repeat(4096));
      expect(sent).to.be.below(all);
    } finally {
      bucket.close();
      logOut();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    }
  });
});
