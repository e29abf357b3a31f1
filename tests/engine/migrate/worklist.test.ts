import { expect } from "chai";
import type { Chunk } from "../../../engine/migrate/rows/batch";
import { firstSize, nextSize } from "../../../engine/migrate/workers/sizes";
import { Worklist } from "../../../engine/migrate/rows/worklist";
import type { Queryable } from "../../../engine/base/sql";

/** A plan with the ranges at these places left, of 1000 keys each. */
function listOf(places: number[], workers: number): Promise<Worklist> {
  const rows = places.map((place) => ({ place, from: [`${place}a`], to: [`${place}z`], keys: 1000 }));
  const db = { query: () => Promise.resolve({ rows }), script: () => Promise.resolve() };
  return Worklist.read(db as unknown as Queryable, "urn", workers);
}

const from1 = (count: number): number[] => Array.from({ length: count }, (_none, i) => i + 1);
const places = ({ firstPlace, lastPlace }: Chunk): number[] =>
  from1(lastPlace - firstPlace + 1).map((i) => i + firstPlace - 1);

describe("the ranges that are left", () => {
  it("are given out once each, whoever asks in whatever order", async () => {
    for (const workers of [1, 2, 3, 8]) {
      const list = await listOf(from1(40), workers);
      const given: number[] = [];
      for (let turn = 0; list.left > 0; turn++) {
        const chunk = list.take((turn * turn + 1) % workers, 1000 * (1 + (turn % 4)));
        given.push(...places(chunk!));
      }
      expect(list.take(0, 1000)).to.equal(undefined);
      expect(given.sort((a, b) => a - b)).to.deep.equal(from1(40));
    }
  });

  it("are joined into one batch only if they are neighbours, and their keys are as many as were asked for", async () => {
    const list = await listOf([1, 2, 3, 5, 6, 9], 1);
    const taken = [];
    for (let chunk = list.take(0, 2500); chunk; chunk = list.take(0, 2500)) taken.push(chunk);
    expect(taken).to.deep.equal([
      { firstPlace: 1, lastPlace: 2, from: ["1a"], to: ["2z"], keys: 2000 },
      { firstPlace: 3, lastPlace: 3, from: ["3a"], to: ["3z"], keys: 1000 },
      { firstPlace: 5, lastPlace: 6, from: ["5a"], to: ["6z"], keys: 2000 },
      { firstPlace: 9, lastPlace: 9, from: ["9a"], to: ["9z"], keys: 1000 },
    ]);
    expect((await listOf([4], 1)).take(0, 1), "one at least").to.include({ firstPlace: 4, keys: 1000 });
  });

  it("are walked in key order by each worker; one that is through takes the far half of the longest stretch", async () => {
    const list = await listOf(from1(20), 2);
    expect([list.take(0, 1000), list.take(0, 1000)].map((chunk) => chunk!.firstPlace)).to.deep.equal([1, 2]);
    expect(list.take(1, 10_000)).to.include({ firstPlace: 11, lastPlace: 20 });
    expect(list.take(1, 2000), "stolen from 3 … 10").to.include({ firstPlace: 7, lastPlace: 8 });
    expect(list.take(0, 20_000)).to.include({ firstPlace: 3, lastPlace: 6 });
    expect(list.take(0, 20_000)).to.include({ firstPlace: 10, lastPlace: 10 });
    expect(list.take(1, 20_000)).to.include({ firstPlace: 9, lastPlace: 9 });
    expect(list.left).to.equal(0);
  });
});

describe("the size of a batch", () => {
  it("follows the target duration, at most twice as many keys as before, within bounds", () => {
    expect(nextSize(10_000, 300, 300, 1)).to.equal(10_000);
    expect(nextSize(10_000, 600, 300, 1)).to.equal(5000);
    expect(nextSize(10_000, 10, 300, 1)).to.equal(20_000);
    expect(nextSize(20_000, 10, 300, 1)).to.equal(25_000);
    expect(nextSize(2000, 60_000, 300, 1)).to.equal(1000);
    expect(nextSize(1000, 0, 300, 1)).to.equal(2000);
  });

  it("is less where the application is to be spared, but never less than a range", () => {
    expect(nextSize(10_000, 300, 300, 0.5)).to.equal(5000);
    expect(nextSize(10_000, 300, 300, 0.05)).to.equal(1000);
    expect([firstSize({ speed: 2 }), firstSize({ speed: 0.1 })]).to.deep.equal([10_000, 1000]);
  });
});
