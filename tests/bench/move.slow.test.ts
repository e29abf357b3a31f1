import { expect } from "chai";
import { chmodSync, readdirSync } from "node:fs";
import { commandOf } from "../../bench/benchmark";
import { growth } from "../../bench/growth";
import { move } from "../../bench/move";
import { Contents, contentOf } from "../../bench/move/content";
import { comparable, exponent, figuresOf, growthOf, type Measured } from "../../bench/move/figures";
import { sizesUpTo } from "../../bench/move/measure";
import { Memory } from "../../bench/move/memory";
import { Observer } from "../../bench/move/observer";
import type { Job, Outcome } from "../../bench/move/job";
import { connectWriter, Session, Writer } from "../../engine/connect";
import { worthThrottling } from "../../engine/migrate/workers/crew";
import { help } from "../../scripts/command/help";
import { parse, UsageError } from "../../scripts/command/parse";
import { withOnline } from "../engine/migrate/harness";
import { settingsOf } from "../engine/module/harness";
import { withV6 } from "../support/postgres";
import { bench } from "./run";
import { withFolder } from "../support/folder";

/** A run of `rows` rows that took so long. */
function made(
  migration: string,
  how: Job["how"],
  size: number,
  totalMs: number,
  more: Partial<Outcome> = {},
): Measured {
  const times = { totalMs, proofMs: 0, lockWaitMs: 0, longestMs: 300, longest: "batch" };
  return {
    migration,
    how,
    size,
    outcome: { ...times, rows: size, batches: size / 10_000, memoryMb: 5, idleMb: 90, ...more },
  };
}

describe("bench move: figures", () => {
  it("takes the sizes 10,000, 100,000 … and the largest", () => {
    expect(sizesUpTo(20_000)).to.deep.equal([10_000, 20_000]);
    expect(sizesUpTo(1_000_000)).to.deep.equal([10_000, 100_000, 1_000_000]);
  });

  it("finds how time grows", () => {
    expect(exponent([10, 100, 1000].map((x) => [x, 3 * x]))).to.be.closeTo(1, 1e-9);
    expect(exponent([10, 100, 1000].map((x) => [x, x * x]))).to.be.closeTo(2, 1e-9);
    expect(exponent([10, 100, 1000].map((x) => [x, 7]))).to.be.closeTo(0, 1e-9);
  });

  it("leaves out the comparison and pauses for locks, and nothing else", () => {
    expect(comparable(made("a", 1, 1, 1000, { proofMs: 100, lockWaitMs: 300 }).outcome)).to.equal(600);
  });

  it("compares medians at the largest size, and gives the worse of both migrations", () => {
    const each = (name: string, one: number, two: number): Measured[] => [
      made(name, 1, 10_000, one / 10, { memoryMb: 4 }),
      ...[1000, 900, 5000].map((ms) => made(name, "raw", 100_000, ms)),
      ...[one, one - 1, 9 * one].map((ms) => made(name, 1, 100_000, ms + 250, { proofMs: 250 })),
      ...[two, two + 1, 1].map((ms) => made(name, 2, 100_000, ms + 250, { proofMs: 250, longestMs: 700, memoryMb: 9 })),
    ];
    const found = figuresOf([...each("a", 800, 500), ...each("b", 1250, 400)], 100_000);
    expect(found).to.include({ ratio: 0.8, ratioTwoWorkers: 2, rowsPerSecond: 80_000, batches: 10, rows: 100_000 });
    expect(found).to.include({ longestTransactionMs: 700, peakMemoryMb: 9, growthExponent: 1, withProofRatio: 0.667 });
    expect(found["memoryMbBySize"]).to.deep.equal({ 10000: 4, 100000: 9 });
    const { migrations } = figuresOf([...each("a", 800, 500), made("a", "looking", 100_000, 640)], 100_000);
    expect((migrations as Record<string, object>)["a"], "beside the statement that looks first").to.include({
      ratio: 1.25,
      ratioToLooking: 0.8,
    });
    expect(Object.keys(found).slice(0, 7)).to.deep.equal(
      "ratio ratioTwoWorkers rowsPerSecond batches longestTransactionMs peakMemoryMb growthExponent".split(" "),
    );
    expect(found, "what they leave out").to.include({ throttled: false, withProofRatioTwoWorkers: 1.333 });
  });

  it("a run that warms up: its memory and its transactions count, its times do not", () => {
    const more = { memoryMb: 30, longestMs: 950, lockWaitMs: 2000, batches: 99 };
    const warm = (size: number): Measured => ({ ...made("a", 1, size, 77_000, more), warmUp: true });
    const runs = [10_000, 100_000].flatMap((size) => [warm(size), made("a", 1, size, size / 100)]);
    const others = [made("a", "raw", 100_000, 1000), made("a", 2, 100_000, 500)];
    const ways = figuresOf([...runs, ...others], 100_000);
    expect(ways).to.include({ ratio: 1, ratioTwoWorkers: 2, batches: 10, growthExponent: 1 });
    expect(ways).to.include({ peakMemoryMb: 30, longestTransactionMs: 950, lockWaitSeconds: 2 });
    const grown = growthOf(runs);
    expect(grown).to.include({ growthExponent: 1, peakMemoryMb: 30, longestTransactionMs: 950 });
    for (const { memoryMbBySize } of [ways, grown]) expect(memoryMbBySize).to.deep.equal({ 10000: 30, 100000: 30 });
  });

  it("growth: the worse exponent of both, without the comparison and with it", () => {
    const runs = (name: string, slope: number): Measured[] =>
      [10_000, 100_000, 1_000_000].flatMap((size) => {
        const proofMs = (size / 10_000) * 100;
        const ms = 100 * (size / 10_000) ** slope + proofMs;
        const memoryMb = size / 100_000;
        return [ms, ms, 9 * ms].map((totalMs) => made(name, 1, size, totalMs, { proofMs, memoryMb }));
      });
    const found = growthOf([...runs("a", 1), ...runs("b", 2)]);
    expect(found).to.include({ growthExponent: 2, rows: 1_000_000, peakMemoryMb: 10, longestTransactionMs: 300 });
    expect(found["growthExponentWithProof"]).to.be.within(1.8, 1.99);
    expect(found["memoryMbBySize"]).to.deep.equal({ 10000: 0.1, 100000: 1, 1000000: 10 });
    expect((found["migrations"] as Record<string, object>)["a"]).to.deep.equal({
      growthExponent: 1,
      growthExponentWithProof: 1,
      secondsBySize: { 10000: 0.1, 100000: 1, 1000000: 10 },
    });
  });
});

describe("bench move: the command line", () => {
  it("says what ratio leaves out, and whose memory it is", () => {
    const text = help(commandOf([move]));
    for (const part of ["throttled: false", "without the row-level comparison", "pauses for locks", "withProofRatio:"])
      expect(text).to.contain(part);
    for (const one of [text, help(commandOf([growth]))]) expect(one).to.contain("the engine in a process of its own");
  });

  it("refuses so few rows that the product takes one worker for them", () => {
    const { least } = move.options["rows"]!;
    expect([worthThrottling(least), worthThrottling(20_000)]).to.deep.equal([true, false]);
    expect(() => parse(commandOf([move]), ["move", "--rows", "20000"])).to.throw(
      UsageError,
      `--rows must be a whole number from ${least}`,
    );
  });
});

describe("bench move: what is seen of a run", function () {
  this.timeout(30_000);

  it("the longest of all transactions, single statements too, and the comparison", () =>
    withV6(async (db) => {
      const methods = [Session.prototype.query, Writer.prototype.transaction];
      const writer = await connectWriter(settingsOf(db.migrator), { detail: "observed" });
      const seen = async (work: () => Promise<unknown>) => {
        const observer = new Observer();
        observer.begin();
        try {
          await work();
          observer.onProgress({ phase: "prove" });
          await writer.query("SELECT pg_sleep(0.05) FROM (SELECT 1) a FULL JOIN (SELECT 2) b ON true");
          observer.onProgress({ phase: "v6 locks", againSeconds: 7.5 });
        } finally {
          observer.end();
        }
        return observer.end();
      };
      try {
        const single = await seen(() => writer.query("SELECT pg_sleep(0.3) AS single"));
        expect(single.longestMs).to.be.greaterThan(290);
        expect(single.longest).to.contain("AS single");
        expect([single.proofMs > 45, single.lockWaitMs]).to.deep.equal([true, 7500]);
        const several = await seen(() =>
          writer.transaction(async (open) => {
            await open.query("SELECT pg_sleep(0.2) AS first");
            await open.query("SELECT pg_sleep(0.25) AS second");
          }),
        );
        expect(several.longestMs, "BEGIN to COMMIT").to.be.greaterThan(440);
        expect(several.longest).to.match(/AS second$/);
        expect([Session.prototype.query, Writer.prototype.transaction], "put back").to.deep.equal(methods);
      } finally {
        await writer.close();
      }
    }));

  it("memory at its highest above idle, though it is free again at the end", async () => {
    const memory = await Memory.idle();
    let held: Buffer | undefined = Buffer.alloc(64 * 1024 * 1024, 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(held.length).to.be.greaterThan(0);
    held = undefined;
    const { idleMb, peakMb } = memory.end();
    expect(peakMb).to.be.within(60, 200);
    expect(idleMb).to.be.greaterThan(20);
  });
});

describe("bench move: that every way leaves the same", function () {
  this.timeout(60_000);

  it("a hash knows every value that is written, but neither the order nor the time of the run", () =>
    withOnline("consents", 300, async ({ db, admin, move }) => {
      await move();
      await admin.query("SET session_replication_role = replica");
      const content = (): Promise<string> => contentOf(db.admin, "consents");
      const set = (what: string, where = "true"): Promise<unknown> =>
        admin.query(`UPDATE public.patient_consents SET ${what} WHERE ${where}`);
      let before = await content();
      expect(before).to.match(/^2\d\d rows with hash -?\d+$/);
      // Turns the order round, and gives every row the evidence of another run.
      await set(`updated_at = now(), consent_evidence = jsonb_set(consent_evidence, '{recorded_at}', '"2020-01-01"')`);
      expect(await content(), "another run").to.equal(before);
      const one = "patient_id = (SELECT min(patient_id::text)::uuid FROM public.patient_consents)";
      for (const what of [
        "valid_from = valid_from - interval '1 microsecond'",
        "explicit_consent = NOT explicit_consent",
        `consent_evidence = jsonb_set(consent_evidence, '{statement}', '"other"')`,
        "consent_evidence = consent_evidence - 'recorded_at'",
      ]) {
        await set(what, one);
        const after = await content();
        expect(after, what).not.to.equal(before);
        const contents = new Contents("consents");
        contents.add("raw", before);
        contents.add(1, before);
        expect([contents.lacks("raw"), contents.lacks(2)]).to.deep.equal([false, true]);
        expect(() => contents.add(2, after)).to.throw(`consents: ${before} by raw, but ${after} by 2`);
        before = after;
      }
    }));
});

describe("bench move: the whole", function () {
  this.timeout(900_000);

  it("moves both migrations in every way, and leaves nothing behind", async () => {
    return withFolder(async (temporary) => {
      chmodSync(temporary, 0o755); // the server's user must get in
      // v6 locks may be held for longer and are tried for again at once: other tests run beside this.
      const env = { TMPDIR: temporary, GUARDIAN_LOCK_PAUSE_MS: "100", GUARDIAN_LOCK_HOLD_MS: "10000" };
      const { stdout, stderr, code } = await bench(["move", "--rows", "21000", "--rounds", "1", "--json"], env);
      expect(code, stderr).to.equal(0);
      const found = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
      const promised = [
        "ratio",
        "ratioTwoWorkers",
        "rowsPerSecond",
        "longestTransactionMs",
        "growthExponent",
        "proofSeconds",
      ];
      for (const key of promised) expect(found[key], key).to.be.a("number").and.greaterThan(0);
      expect(found["batches"]).to.be.within(1, 21);
      expect(found["peakMemoryMb"], stderr).to.be.within(1, 40);
      expect(found["withProofRatio"], "the comparison takes time").to.be.lessThan(found["ratio"]!);
      expect(found["withProofRatioTwoWorkers"]).to.be.lessThan(found["ratioTwoWorkers"]!);
      expect(found["throttled"]).to.equal(false);
      // Everybody has preferences; the same rows come by every way, or it would have failed.
      for (const way of ["one statement", "1 worker", "2 workers"]) {
        expect(stderr).to.match(new RegExp(`preferences, ${way}: 21000 rows in \\d+ ms`));
        expect(stderr).to.match(new RegExp(`consents, ${way}: 20\\d\\d\\d rows in \\d+ ms`));
      }
      expect(readdirSync(temporary).filter((name) => !name.startsWith("tsx-"))).to.deep.equal([]);
    });
  });
});
