import { expect } from "chai";
import { chmodSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { figures, type UpWindow, type Window } from "../../bench/traffic/figures";
import { complete, dueIn, percentile, Recorder, type Failure } from "../../bench/traffic/record";
import { classes, readPeople, request, tidy } from "../../bench/traffic/requests";
import { blame, type Step } from "../../bench/traffic/steps";
import { Traffic } from "../../bench/traffic/traffic";
import { newestDumpable } from "../../scripts/postgres/newest";
import { withV6, type V6 } from "../support/postgres";
import { descendants } from "../support/processes";
import { skip } from "../support/skip";
import { bench } from "./run";
import { withFolder } from "../support/folder";

/** A window of one second from `from` with a request every 10 ms, all of the first class. */
function made(from: number, latency: (at: number) => number, failures: Failure[] = []): Window {
  const recorder = new Recorder();
  for (let at = from; at < from + 1000; at += 10) recorder.add((at / 10) % classes.length, at, latency(at), 0.1);
  recorder.failures.push(...failures);
  return { record: recorder.finish(), span: { from, to: from + 1000 } };
}

const step = (name: string, kind: string, from: number, to: number): Step => ({ name, kind, from, to });

describe("bench traffic: figures", () => {
  it("takes the percentile that so many values do not exceed", () => {
    const hundred = Float32Array.from({ length: 100 }, (_, i) => 100 - i);
    expect([0.5, 0.95, 0.99, 1].map((share) => percentile(hundred, share))).to.deep.equal([50, 95, 99, 100]);
    expect(() => percentile(new Float32Array(), 0.5)).to.throw(RangeError, "no requests");
  });

  it("keeps more than it began with room for", () => {
    const recorder = new Recorder();
    for (let i = 0; i < 10_000; i++) recorder.add(i % 6, i, i + 0.5, 0.25);
    const { index, at, latency, late } = recorder.finish();
    expect([index.length, index[9999], at[9999], latency[9999], late[9999]]).to.deep.equal([
      10_000, 3, 9999, 9999.5, 0.25,
    ]);
  });

  it("counts what was due in a span, and refuses a record that has not all of it", () => {
    const beat = { first: 1000, every: 10 };
    const inSpan = (from: number, to: number): number => dueIn(beat, 500, { from, to });
    expect([inSpan(0, 1500), inSpan(0, 1501), inSpan(1510, 1530), inSpan(1511, 1530)]).to.deep.equal([0, 1, 2, 1]);
    const { record } = made(0, () => 2);
    expect(complete(record, 100)).to.equal(record);
    expect(complete(record, undefined)).to.equal(record);
    expect(() => complete(record, 101)).to.throw("101 requests were due, but 100 are on record");
    expect(() => complete(record, 99)).to.throw("99 requests were due");
  });

  it("cuts the backup out, and compares with the control", () => {
    const failure = { at: 2600, name: "upload", code: "40P01" };
    const up: UpWindow = {
      ...made(2000, (at) => (at >= 2100 && at < 2400 ? 8 : 3), [failure]),
      steps: [step("Backup backup", "Backup", 2100, 2400), step("SqlModule a", "SqlModule", 2500, 2600)],
    };
    const found = figures([made(0, () => 2), made(4000, (at) => (at === 4500 || at === 4510 ? 5 : 2))], [up]);
    expect(found).to.include({ p50Ratio: 1.5, p95Ratio: 1.5, backupP95Ratio: 4, controlP99Spread: 2.5 });
    expect(found).to.include({ failedTransactions: 1, upSeconds: 1, backupSeconds: 0.3, p99Ratio: 0.857 });
    expect(found["failures"]).to.deep.equal({ "40P01 upload": 1 });
    expect(found["limitMs"], "1.1 times the control's p95").to.equal(2.2);
    const over = (found["overLimit"] as { name: string; slow: number }[]).map(({ name, slow }) => [name, slow]);
    expect(over.slice(0, 2), "what was over it, and when").to.deep.equal([
      ["after the last step: engine and plugin end", 40],
      ["Backup backup", 30],
    ]);
  });

  it("puts slow requests down to the shortest step that ran then", () => {
    const up = {
      ...made(0, (at) => (at === 220 || at === 300 || at === 700 || at === 950 ? 20 : 1)),
      steps: [
        step("module", "SqlModule", 200, 400),
        step("module index", "index", 210, 250),
        step("flag", "FeatureFlag", 800, 900),
      ],
    };
    const slow = blame([up], 10).map(({ name, slow, worstMs }) => [name, slow, worstMs]);
    expect(slow).to.deep.equal([
      ["module", 1, 20],
      ["module index", 1, 20],
      ["between steps", 1, 20],
      ["after the last step: engine and plugin end", 1, 20],
    ]);
  });
});

describe("bench traffic: the load", function () {
  this.timeout(60_000);

  /** Runs with the generator and a superuser's client. */
  async function withTraffic(
    db: V6,
    broken: string | undefined,
    work: (load: Traffic, admin: Client) => Promise<void>,
  ) {
    const admin = await db.connect("admin");
    const signal = new AbortController().signal;
    const people = await readPeople(admin);
    const options = { login: db.admin, people, connections: 8, signal };
    const load = await Traffic.open(broken === undefined ? options : { ...options, broken });
    try {
      await work(load, admin);
    } finally {
      await load.close();
    }
  }

  it("is made of every class by its share, and every request does something", () =>
    withV6(async (db) => {
      expect(classes.reduce((sum, { share }) => sum + share, 0)).to.equal(100);
      const admin = await db.connect("admin");
      const people = await readPeople(admin);
      const seen = classes.map(() => 0);
      for (let n = 0; n < 20_000; n++) seen[request(people, n).index]!++;
      classes.forEach(({ name, share }, i) => expect(seen[i]! / 200, name).to.be.closeTo(share, 1));
      await admin.query("SET search_path = public, extensions");
      for (const { name, sql } of classes) {
        // The rows that the class's own statements see or write, not those of set_config.
        const results = (await admin.query(sql(people, 3))) as unknown as { command: string; rowCount: number }[];
        const own = results.slice(1).filter(({ command, rowCount }) => command !== "SELECT" || rowCount > 0);
        if (name !== "labs" && name !== "profile")
          expect(
            own.map(({ rowCount }) => rowCount),
            name,
          ).to.not.include(0);
        expect(results.length, name).to.be.greaterThan(1);
      }
    }));

  it("sends at its rate whatever is answered, and sees a stall as its users do", () =>
    withV6((db) =>
      withTraffic(db, undefined, async (load, admin) => {
        const rate = 200;
        const { record, span } = await load.during(rate, async () => {
          await sleep(500);
          await admin.query("BEGIN; LOCK TABLE auth.users");
          await sleep(500);
          await admin.query("COMMIT");
          await sleep(500);
        });
        expect(record.failures).to.deep.equal([]);
        // Nobody's request is left out because another had to wait.
        expect(record.at.length).to.be.closeTo((rate * (span.to - span.from)) / 1000, 2);
        expect(percentile(record.latency, 0.99)).to.be.greaterThan(250);
        // Of those that wait, the late ones wait less: what is timed begins when they were due.
        expect(record.late.length).to.equal(record.at.length);
        await tidy(admin);
        const left = await admin.query("SELECT FROM public.documents WHERE s3_key LIKE 'traffic/%'");
        expect(left.rowCount).to.equal(0);
      }),
    ));

  it("leaves out none that was due while the generator stalled, not even at the window's end", () =>
    withV6((db) =>
      withTraffic(db, undefined, async (load) => {
        const [generator] = descendants(process.pid, /bench\/traffic\/generator\.ts/);
        const pid = generator?.pid ?? 0;
        expect(pid).to.be.greaterThan(1);
        let resumed: Promise<void> | undefined;
        const { record, span } = await load.during(200, async () => {
          await sleep(300);
          process.kill(pid, "SIGSTOP");
          // It is told to stop before it can send what was due meanwhile.
          resumed = sleep(900).then(() => void process.kill(pid, "SIGCONT"));
          await sleep(500);
        });
        await resumed;
        expect(record.at.length).to.be.closeTo((200 * (span.to - span.from)) / 1000, 1);
        expect(record.latency.filter((ms) => ms > 350).length, "of the half second").to.be.greaterThan(90);
      }),
    ));

  it("measures what the machine carries", () =>
    withV6((db) =>
      withTraffic(db, undefined, async (load) => {
        const carried = await load.capacity(500);
        expect(carried).to.be.greaterThan(10);
      }),
    ));

  it("counts what fails, by SQLSTATE", () =>
    withV6((db) =>
      withTraffic(db, "SELECT 1 / 0", async (load) => {
        const { record } = await load.during(100, () => sleep(300));
        expect(record.failures.length).to.equal(record.at.length).and.greaterThan(10);
        expect(new Set(record.failures.map(({ code }) => code))).to.deep.equal(new Set(["22012"]));
      }),
    ));

  it("counts a request that the server did not answer", () =>
    withV6((db) =>
      withTraffic(db, undefined, async (load, admin) => {
        const { record } = await load.during(100, async () => {
          await admin.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'v6 application' AND datname = current_database()",
          );
          await sleep(300);
        });
        expect(record.failures.map(({ code }) => code)).to.include("connection");
      }),
    ));
});

describe("bench traffic: the whole", function () {
  this.timeout(900_000);

  it("measures the whole up, and leaves nothing behind", async function () {
    await newestDumpable().catch(() => skip(this, "no pg_dump; install PostgreSQL's client"));
    return withFolder(async (temporary) => {
      chmodSync(temporary, 0o755); // the server's user must get in
      const options = ["--rounds", "1", "--users", "200", "--capacity", "1", "--percent", "3", "--connections", "4"];
      // v6 locks are tried for again at once: a test does not wait for production's pauses.
      const env = { TMPDIR: temporary, GUARDIAN_LOCK_PAUSE_MS: "100" };
      const { stdout, stderr, code } = await bench(["traffic", "--json", ...options], env);
      expect(code, stderr).to.equal(0);
      const found = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
      const promised = ["p50Ratio", "p95Ratio", "p99Ratio", "controlP99Spread", "backupP95Ratio", "upSeconds"];
      for (const key of promised) expect(found[key], key).to.be.a("number").and.greaterThan(0);
      expect(found["failedTransactions"], JSON.stringify(found["failures"])).to.equal(0);
      expect(stderr).to.match(/round 1 of 1: up [\d.]+ s, \d+ requests; now as long without\n/);
      expect(readdirSync(temporary).filter((name) => !name.startsWith("tsx-"))).to.deep.equal([]);
    });
  });
});
