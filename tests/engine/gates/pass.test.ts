import { expect } from "chai";
import type { Statistics } from "../../../engine/backup/snapshot/moment";
import { wholeId } from "../../../engine/gates/validation/pass/compare";
import { deletedBetween, patiently } from "../../../engine/gates/validation/pass/statistics";

describe("what a pass over v6 goes by", () => {
  it("19-4 gives a row's transaction its epoch, and takes a frozen row for an old one", () => {
    const epoch = 4294967296n;
    const of = (xmin: bigint, next: bigint) => wholeId(xmin.toString(), next.toString());
    expect(of(2n, 1000n), "frozen by a release before 9.4").to.equal(0n);
    expect(of(999n, 1000n)).to.equal(999n);
    expect(of(1001n, 1000n), "no transaction of the first epoch").to.equal(0n);
    expect(of(5n, epoch + 10n), "this epoch").to.equal(epoch + 5n);
    expect(of(epoch - 7n, epoch + 10n), "the one before").to.equal(epoch - 7n);
    expect(of(11n, 3n * epoch + 10n), "almost an epoch ago").to.equal(2n * epoch + 11n);
  });

  const was: Statistics = { resetAt: null, discardedAt: "2026-01-01", commits: 50, deleted: { "7": 10 } };
  const now: Statistics = { ...was, commits: 60, deleted: { "7": 13, "8": 2 } };

  it("19-4 counts what was deleted since, of a table that is new from nothing on", () => {
    const deleted = deletedBetween(was, now);
    expect([deleted("7"), deleted("8"), deleted("9")]).to.deep.equal([3, 2, 0]);
  });

  it("19-4 knows that counters were set to 0 by their reset, a crash, or a fall", () => {
    const reset = /set to 0/;
    expect(deletedBetween(was, { ...now, resetAt: "2026-02-02" })("7"), "pg_stat_reset").to.match(reset);
    expect(deletedBetween(was, { ...now, discardedAt: "2026-02-02" })("7"), "a crash").to.match(reset);
    expect(deletedBetween(was, { ...now, commits: 49 })("7"), "fewer commits").to.match(reset);
    expect(deletedBetween(was, { ...now, deleted: { "7": 9 } })("7"), "fewer deletions").to.match(reset);
  });

  it("19-4 cannot tell what was deleted where nobody counts", () => {
    expect(deletedBetween({ ...was, counted: true }, { ...now, counted: true })("7")).to.equal(3);
    expect(deletedBetween(was, { ...now, counted: false })("7")).to.match(/track_counts is off/);
    expect(deletedBetween({ ...was, counted: false }, now)("7")).to.match(/track_counts is off/);
  });

  it("19-4 waits for statistics that come late, and no longer than it may", async () => {
    const signal = new AbortController().signal;
    let asked = 0;
    const read = () => Promise.resolve({ ...now, commits: ++asked });
    expect((await patiently(read, ({ commits }) => commits === 3, 5000, signal)).commits).to.equal(3);
    expect((await patiently(read, () => false, 20, signal)).commits).to.be.within(5, 6);
  });
});
