import { expect } from "chai";
import { bench } from "./run";

describe("bench gates", function () {
  this.timeout(600_000);

  it("19-5 says what the gates of an up take of it, by the ledger", async () => {
    const { code, stdout, stderr } = await bench(["gates", "--json", "--users", "300"]);
    expect(code, stderr).to.equal(0);
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    expect(Object.keys(figures)).to.deep.equal(["gateSeconds", "upSeconds", "share"]);
    const { gateSeconds = 0, upSeconds = 0, share = 0 } = figures;
    // 0.20 is what is promised with 200,000 users: with few the rest of the up takes next to nothing.
    expect(share)
      .to.be.closeTo(gateSeconds / upSeconds, 0.01)
      .and.within(0.001, 0.9);
    expect(stderr).to.match(/round 1 of 1: up [\d.]+ s, \d+ checks [\d.]+ s; the longest: .*performance/);
  });
});
