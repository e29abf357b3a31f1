import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Session } from "../../../engine/connect";
import { expand, percentile, Probe, served, slowIntervalMs } from "../../../engine/migrate/workers/throttle/probe";

/** A server that answers when `answer` does. */
function sessionThat(answer: () => Promise<unknown>): Session {
  return { query: answer } as unknown as Session;
}

function probeOf(): Probe {
  return new Probe({ probe: { text: "SELECT 1", values: () => [] }, signal: new AbortController().signal });
}

describe("throttle: its probes", function () {
  // What else runs on the machine is felt as well: that is what they are made for.
  this.retries(2);
  it("percentiles are nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 0.95)).to.equal(95);
    expect(percentile([7], 0.95)).to.equal(7);
    expect(percentile([], 0.95)).to.equal(0);
    expect(percentile([...Array<number>(95).fill(1), 9, 9, 9, 9, 9], 0.95)).to.equal(1);
    expect(percentile([...Array<number>(94).fill(1), 9, 9, 9, 9, 9, 9], 0.95)).to.equal(9);
  });

  it("one that is slow stands for those that were not sent meanwhile", () => {
    expect(expand(8, 10)).to.deep.equal([8]);
    expect(expand(35, 10)).to.deep.equal([35, 25, 15, 5]);
    expect(expand(60_000, 10)).to.have.length(100);
  });

  it("takes off the time in which our own event loop was busy, and drops what that hides", () => {
    expect(served(0.5, 0.1)).to.be.closeTo(0.4, 1e-9);
    expect(served(100, 20)).to.equal(80);
    expect(served(100, 26)).to.equal(undefined);
    expect(served(3, 1.1)).to.equal(undefined);
    expect(served(50, 49.8)).to.equal(undefined);
  });

  it("our own busy event loop is not a slow server", async () => {
    const probe = probeOf();
    const busy = sessionThat(async () => {
      await sleep(1);
      for (const until = performance.now() + 300; performance.now() < until;);
    });
    for (let i = 0; i < 3; i++) await probe.turn(busy);
    expect(probe.latency()).to.include({ p95: 0, count: 0 });
    // The same time spent waiting counts.
    await probe.turn(sessionThat(() => sleep(400)));
    expect(probe.latency().p95).to.be.at.least(300);
    expect(probe.latency().count).to.be.at.least(2);
  });

  it("one that has not come back counts already, and what was forgotten does not", async () => {
    const probe = probeOf();
    let answer: () => void = () => undefined;
    const turn = probe.turn(sessionThat(() => new Promise<void>((resolve) => (answer = resolve))));
    for (const end = Date.now() + 3000; probe.latency().p95 < 150 && Date.now() < end;) await sleep(10);
    expect(probe.latency().p95).to.be.at.least(150);
    expect(probe.latency().count).to.be.at.least(10);
    probe.forget();
    expect(probe.latency()).to.include({ p95: 0, count: 0 });
    await sleep(100);
    answer();
    await turn;
    expect(probe.latency().count).to.be.at.least(1);
  });

  it("those that are sent seldom are judged by what is usual for them: an idle processor wakes up slowly", async () => {
    const probe = probeOf();
    let seldom = false;
    const turn = probe.turn.bind(probe);
    probe.turn = (session, signal, interval) => {
      seldom = interval === slowIntervalMs;
      return turn(session, signal, interval);
    };
    const sleepy = sessionThat(() => sleep(seldom ? 200 : 1));
    await probe.measureUsual(sleepy);
    expect(probe.latency()).to.include({ count: 0 });
    await probe.turn(sleepy);
    expect(probe.latency().usual.p95).to.be.below(100);
    for (let i = 0; i < 3; i++) await probe.turn(sleepy, undefined, slowIntervalMs);
    expect(probe.latency().usual.p95).to.be.at.least(180);
    expect(probe.latency().count).to.be.at.least(3);
    await probe.turn(sleepy);
    expect(probe.latency().usual.p95, "of its own kind").to.be.below(100);
    expect(probe.latency().count, "the others are forgotten").to.be.below(20);
  });
});
