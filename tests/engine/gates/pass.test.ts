import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Statistics } from "../../../engine/backup/snapshot/moment";
import { GuardianError, sqlstateOf } from "../../../engine/base/errors";
import type { Reader } from "../../../engine/connect";
import { withReason } from "../../../engine/gates/validation/pass";
import { wholeId } from "../../../engine/gates/validation/pass/compare";
import { Readings } from "../../../engine/gates/validation/pass/readings";
import { deletedBetween, patiently } from "../../../engine/gates/validation/pass/statistics";
import type { Pace } from "../../../engine/migrate/workers/pace";
import { long } from "../../support/long";

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
    // How often it looks until then is the clock's affair.
    expect((await patiently(read, () => false, 20, signal)).commits).to.be.above(3);
  });

  it("19-4 says why it goes slower, and nothing twice", () => {
    const heard: string[] = [];
    const pace: { reason: string | undefined } = { reason: undefined };
    const tell = withReason(pace, (text) => heard.push(text));
    tell("5 rows");
    pace.reason = "a replica is behind";
    tell();
    tell();
    pace.reason = undefined;
    tell("9 rows");
    expect(heard).to.deep.equal(["5 rows", "5 rows (slower: a replica is behind)", "9 rows"]);
  });

  /** Turns of a session that answers by itself. */
  const turns = (answer: () => Promise<number>, rest: Pace["rest"], onRest?: () => void): Promise<number> => {
    const db = { script: () => Promise.resolve() };
    const reader = { read: (work: (asked: typeof db) => Promise<number>) => work(db) } as unknown as Reader;
    const pace = { speed: 1, reason: undefined, rest, close: () => Promise.resolve() };
    return new Readings(reader, pace, new AbortController().signal, 4, onRest).turn(answer);
  };

  it("19-4 tries some times for a lock, and for nothing else", async () => {
    const refused = (sqlstate: string) => new GuardianError("postgres-refused", { what: "no", sqlstate });
    const tried = async (sqlstate: string, times: number): Promise<string> => {
      let n = 0;
      const found = turns(
        () => (n++ < times ? Promise.reject(refused(sqlstate)) : Promise.resolve(7)),
        () => Promise.resolve(),
      );
      return `${await found.catch((err: unknown) => sqlstateOf(err))} after ${n}`;
    };
    expect(await tried("55P03", 2)).to.equal("7 after 3");
    expect(await tried("55P03", 100)).to.equal("55P03 after 6");
    expect(await tried("57014", 2)).to.equal("57014 after 1");
  });

  long("19-4 says something while a rest lasts", async () => {
    let told = 0;
    const rested = turns(
      () => Promise.resolve(7),
      () => sleep(5000),
      () => told++,
    );
    expect(await rested).to.equal(7);
    expect(told).to.equal(2);
  });
});
