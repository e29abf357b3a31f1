import { expect } from "chai";
import {
  begin,
  decide,
  probeLimit,
  speedOf,
  type Decision,
  type Rules,
} from "../../../engine/migrate/workers/throttle/control";
import { noSignals } from "../../../engine/migrate/workers/throttle/signals";
import { defaultLimits, type Signals, type Usual } from "../../../engine/migrate/workers/throttle/types";

const rules: Rules = { limits: defaultLimits, maxWorkers: 2, budget: 0.1 };
const usual: Usual = { p95: 10, p99: 11 };

/** One decision after another, each with these signals and probes of this p95. */
function run(
  from: Decision,
  times: number,
  signals: Partial<Signals>,
  p95 = 10,
  count = 100,
  by = rules,
  be = usual,
): Decision[] {
  const all: Decision[] = [];
  let decision = from;
  for (let i = 0; i < times; i++) {
    decision = decide(
      decision,
      { signals: { ...noSignals, ...signals }, latency: { p95, count, usual: be }, blind: undefined },
      by,
    );
    all.push(decision);
  }
  return all;
}

function last(decisions: Decision[]): Decision {
  return decisions.at(-1)!;
}

/** As it is when nothing was wrong for a while. */
function full(by: Rules): Decision {
  return { ...begin(by), speed: by.maxWorkers, reason: undefined };
}

describe("throttle: what it decides", () => {
  it("begins slowly, says so, and is at full speed within 3 s on a server that bears it", () => {
    const first = begin(rules);
    expect([first.speed, first.reason]).to.deep.equal([0.1, "beginning slowly, to see what the server bears"]);
    const decisions = run(first, 15, {}, 10);
    expect(decisions[0]?.reason).to.equal(first.reason);
    expect([last(decisions).speed, last(decisions).reason]).to.deep.equal([2, undefined]);
    expect(last(run(first, 15, {}, 1000)).speed, "one that does not").to.equal(0.02);
  });

  it("full speed, and nothing to say, while all is well", () => {
    const decisions = run(full(rules), 20, {}, 10.9);
    expect(decisions.map(speedOf)).to.deep.equal(Array<number>(20).fill(2));
    expect(last(decisions).reason).to.equal(undefined);
  });

  it("probes over the budget cut it by as much as they are over, to a half at most", () => {
    const [slightly] = run(full(rules), 1, {}, 11.1);
    expect(slightly).to.deep.equal({
      speed: 1.6,
      calm: 0,
      doubts: 0,
      stops: [],
      stood: 0,
      creeps: false,
      reason: "p95 of probes 11 ms, +11 % (budget +10 %)",
      cause: "p95 of probes 11 ms, +11 % (budget +10 %)",
      judged: true,
    });
    expect(run(full(rules), 1, {}, 11 / 0.7)[0]?.speed).to.be.closeTo(1.4, 1e-9);
    expect(run(full(rules), 1, {}, 1000)[0]?.speed).to.equal(1);
    expect(run(full(rules), 10, {}, 1000).map(speedOf)).to.deep.equal([
      1,
      0.5,
      0.25,
      0.125,
      0.0625,
      0.03125,
      ...Array<number>(4).fill(0.02),
    ]);
    expect(last(run(full(rules), 10, {}, 1000)).judged, "nothing was cut any more").to.equal(false);
  });

  it("takes 0.05 ms for noise, and judges nothing by a few probes", () => {
    const fast = { p95: 0.2, p99: 0.24 };
    expect(probeLimit(fast, rules)).to.be.closeTo(0.25, 1e-9);
    expect(probeLimit(usual, rules)).to.be.closeTo(11, 1e-9);
    expect(last(run(full(rules), 5, {}, 0.24, 100, rules, fast)).speed).to.equal(2);
    expect(last(run(full(rules), 1, {}, 0.26, 100, rules, fast)).speed).to.equal(1.6);
    expect(last(run(full(rules), 5, {}, 1000, 29)).speed).to.equal(2);
    expect(last(run(full(rules), 1, {}, 1000, 30)).speed).to.equal(1);
  });

  it("what may be chance is held against it only if it lasts", () => {
    const noisy = { p95: 10, p99: 20 };
    expect(last(run(full(rules), 19, {}, 20, 100, rules, noisy)).speed).to.equal(2);
    expect(last(run(full(rules), 20, {}, 20, 100, rules, noisy)).speed, "4 s").to.equal(1.1);
    const once = last(run(last(run(full(rules), 19, {}, 20, 100, rules, noisy)), 1, {}, 10, 100, rules, noisy));
    expect(last(run(once, 19, {}, 20, 100, rules, noisy)).speed).to.equal(2);
    expect(last(run(full(rules), 1, {}, 20.1, 100, rules, noisy)).speed).to.be.below(2);
    const slow = last(run(full(rules), 1, {}, 40, 100, rules, noisy));
    const held = last(run(slow, 5, {}, 15, 100, rules, noisy));
    expect([held.speed, held.reason]).to.deep.equal([
      1,
      "getting faster again (was: p95 of probes 40 ms, +300 % (budget +10 %))",
    ]);
  });

  it("gets faster again: gently, then bolder, and only gently near the budget", () => {
    const slow = last(run(full(rules), 10, {}, 1000));
    const calm = run(slow, 20, {}, 10);
    expect(calm.slice(0, 3).map((decision) => Number(speedOf(decision).toFixed(2)))).to.deep.equal([0.04, 0.08, 0.14]);
    expect(calm[0]?.reason).to.match(/^getting faster again \(was: p95 of probes 1000 ms, \+9900 %/);
    expect(speedOf(last(calm)), "within 4 s").to.equal(2);
    expect(last(calm).reason).to.equal(undefined);
    const near = run(slow, 20, {}, 10.9);
    expect(speedOf(last(near))).to.be.closeTo(0.02 + 20 * 0.02, 1e-9);
    const held = run(slow, 20, {}, 10, 10);
    expect(speedOf(last(held)), "no new probes, no new speed").to.equal(0.02);
    expect(last(held).reason).to.match(/^p95 of probes 1000 ms/);
  });

  const cases: [string, Partial<Signals>, Partial<Signals>, Partial<Signals>, string][] = [
    [
      "replication lag in time",
      { lagSeconds: 12.4 },
      { lagSeconds: 2.6 },
      { lagSeconds: 2.5 },
      "replication lag 12 s (at most 5 s)",
    ],
    [
      "replication lag in bytes",
      { lagBytes: 70 * 2 ** 20 },
      { lagBytes: 33 * 2 ** 20 },
      { lagBytes: 32 * 2 ** 20 },
      "replication lag 70 MiB (at most 64 MiB)",
    ],
    [
      "somebody who waits for our locks",
      { blockedMs: 720 },
      { blockedMs: 501 },
      { blockedMs: 500 },
      "another session waits for a lock of the migration for 0.72 s (at most 0.5 s)",
    ],
    [
      "the archive's queue",
      { archiveFiles: 17 },
      { archiveFiles: 9 },
      { archiveFiles: 8, archiveFails: true },
      "17 WAL files wait to be archived (at most 16)",
    ],
    [
      "an archiver that fails, where the queue cannot be counted",
      { archiveFails: true },
      { archiveFails: true },
      { archiveFails: false },
      "archiving WAL fails (pg_stat_archiver)",
    ],
    [
      "a VACUUM against wraparound",
      { vacuum: { table: "public.t", wraparound: true } },
      { vacuum: { table: "public.t", wraparound: true } },
      { vacuum: undefined },
      "VACUUM against transaction id wraparound at work on public.t",
    ],
  ];
  for (const [name, over, still, gone, reason] of cases) {
    it(`stands still for ${name}, until it is well gone`, () => {
      const stopped = run(full(rules), 5, over);
      expect(stopped.map(speedOf)).to.deep.equal([0, 0, 0, 0, 0]);
      expect(last(stopped).reason).to.equal(reason);
      expect(last(stopped).speed, "halved once").to.equal(1);
      const waiting = last(run(last(stopped), 3, still));
      expect(speedOf(waiting)).to.equal(0);
      const on = run(waiting, 15, gone);
      expect(Number(speedOf(on[0]!).toFixed(2))).to.equal(1.02);
      expect(on[0]?.reason).to.match(/^getting faster again \(was: /);
      expect(speedOf(last(on))).to.equal(2);
      expect(speedOf(last(run(full(rules), 1, gone)))).to.equal(2);
    });
  }

  it("names every reason it stands still for, and lets each go by itself", () => {
    const both = last(run(full(rules), 1, { lagSeconds: 9, archiveFiles: 30 }));
    expect(both.reason).to.equal("replication lag 9 s (at most 5 s); 30 WAL files wait to be archived (at most 16)");
    const one = last(run(both, 1, { lagSeconds: 0, archiveFiles: 12 }));
    expect(one.stops).to.deep.equal(["archive"]);
    expect(one.speed).to.equal(1);
  });

  it("goes on at the least speed when it stood still for minutes and that did not help, and at full speed afterwards", () => {
    const behind = { lagSeconds: 3600 };
    const still = run(full(rules), 1500, behind);
    expect(speedOf(last(still)), "five minutes").to.equal(0);
    const creeping = last(run(last(still), 1, behind));
    expect([speedOf(creeping), creeping.reason]).to.deep.equal([
      0.02,
      "replication lag 3600 s (at most 5 s); standing still for 5 minutes did not help, so it goes on at the least speed",
    ]);
    expect(speedOf(last(run(creeping, 1000, behind)))).to.equal(0.02);
    const gone = run(creeping, 30, {});
    expect(speedOf(last(gone))).to.equal(2);
    expect(speedOf(last(run(last(gone), 1, behind))), "the next time it stands still again").to.equal(0);
  });

  it("leaves half to a VACUUM that is not urgent", () => {
    const beside = last(run(full(rules), 3, { vacuum: { table: "public.t", wraparound: false } }));
    expect(speedOf(beside)).to.equal(1);
    expect(beside.reason).to.equal("VACUUM at work on public.t (half speed at most)");
    expect(speedOf(last(run(beside, 12, {})))).to.equal(2);
    const slow = last(run(beside, 3, { vacuum: { table: "public.t", wraparound: false } }, 1000));
    expect(slow.reason, "the probes are the narrower place").to.match(/^p95/);
  });

  it("creeps while it is blind", () => {
    const seen = {
      signals: noSignals,
      latency: { p95: 10, count: 100, usual },
      blind: "the server has not answered for 3 s",
    };
    const blind = decide(full(rules), seen, rules);
    expect(speedOf(blind)).to.equal(0.02);
    expect(blind.reason).to.equal("the server has not answered for 3 s");
    expect(speedOf(last(run(blind, 20, {})))).to.equal(2);
  });
});
