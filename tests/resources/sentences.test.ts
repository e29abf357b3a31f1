import { expect } from "chai";
import type { Drift } from "../../engine/module/drift";
import { Meter } from "../../engine/migrate/workers/meter";
import { driftTexts, duration, planText, progressLine } from "../../resources/sentences";

describe("the line beside a resource", () => {
  const clock = Date.now;
  afterEach(() => (Date.now = clock));

  it("says rows done of all, rows a second, what is left, the batch's size, and why it waits", () => {
    let now = 1_000_000;
    Date.now = () => now;
    const meter = new Meter("move", "consents", 1_000_000, 200_000);
    expect(progressLine(meter.read())).to.equal("consents: 200,000 of 1,000,000 rows (20 %)");
    now += 10_000;
    meter.add(10_000);
    meter.add(90_000);
    // What an earlier run moved says nothing of this one's pace.
    const read = { phase: "move", subject: "consents", done: 300_000, total: 1_000_000, rate: 10_000 } as const;
    expect(meter.read("lag")).to.deep.equal({ ...read, etaSeconds: 70, batch: 90_000, reason: "lag" });
    const line = "consents: 300,000 of 1,000,000 rows (30 %), 10,000 rows/s, 70 s left, batches of 90,000";
    expect(progressLine(meter.read())).to.equal(line);
    expect(progressLine(meter.read("replication lag 12 s"))).to.equal(`${line}, slower: replication lag 12 s`);
  });

  it("of nothing to do is no division by nothing", () => {
    expect(progressLine(new Meter("move", "consents", 0).read())).to.equal("consents: 0 of 0 rows (100 %)");
  });

  it("says what is waited for, for how long, and when it is tried again", () => {
    expect(
      progressLine({ phase: "v6 locks", tries: 2, reason: "t is held by x (pid 1)", againSeconds: 7.46 }),
    ).to.equal("try 2: waits for v6 tables: t is held by x (pid 1), again in 7.5 s");
    expect(
      progressLine({
        phase: "v6 locks",
        tries: 3,
        reason: "t is held by x",
        againSeconds: 7,
        settings: "a key sets it",
      }),
      "16-5",
    ).to.equal("try 3: waits for v6 tables: t is held by x, again in 7.0 s, a key sets it");
    expect(progressLine({ phase: "operator", reason: "held by x", waitedSeconds: 3 })).to.equal(
      "waits for the lock of this database: held by x, 3 s",
    );
    expect(progressLine({ phase: "catch up", subject: "consents", done: 2000, reason: "lag" })).to.equal(
      "consents: rows caught up with that v6 changed meanwhile: 2,000, slower: lag",
    );
  });

  it("writes times so that they can be read", () => {
    expect([0, 0.2, 89, 90, 5000, 5400, 20_000].map(duration)).to.deep.equal([
      ...["0 s", "1 s", "89 s", "2 min", "83 min", "1.5 h", "5.6 h"],
    ]);
  });
});

describe("what was done by hand", () => {
  it("16-11 is told with what differs; once for all objects to which the same was done, and not at any length", () => {
    const changed = (object: string, ...lines: string[]): Drift => ({ object, kind: "changed", lines });
    const tables = ["a", "b", "c", "d", "e", "f", "g"].map((name) =>
      changed(`table ${name}`, "now: row security is passed by anon"),
    );
    const long = changed("function f()", ...["1", "2", "3", "4", "5", "6"].map((n) => `now: line ${n}`));
    const added: Drift[] = ["x", "y"].map((name) => ({ object: `index ${name}`, kind: "unexpected", lines: [] }));
    expect(driftTexts([...tables, long, changed("view v", `was: ${"x".repeat(200)}`), ...added])).to.deep.equal([
      "drift: table a, table b, table c, table d, table e and 2 more were changed by hand: now: row security is passed by anon",
      "drift: function f() was changed by hand: now: line 1; now: line 2; now: line 3; now: line 4; 2 more lines",
      `drift: view v was changed by hand: was: ${"x".repeat(155)} …`,
      "drift: index x was added by hand",
      "drift: index y was added by hand",
    ]);
  });
});

describe("the plan of a resource", () => {
  const lock = { relation: "auth.users", mode: "SHARE ROW EXCLUSIVE", holdMs: 200 } as const;

  it("is one sentence and the same as JSON", () => {
    const text = planText({
      made: ["table public.a", "table public.b"],
      dropped: ["table guardian_archive.a__1"],
      locks: [lock, { ...lock, mode: "ACCESS EXCLUSIVE" }],
      rows: [
        { action: "insert", relation: "public.a", rows: 9, of: 12, leftOut: { deleted: 1, "too young": 3 } },
        { action: "restore", relation: "public.a", rows: 1 },
      ],
      notes: [
        { severity: "info", text: "told" },
        { severity: "warning", text: "said by itself" },
      ],
    });
    const [sentence, json, ...more] = text.split("\n");
    expect(sentence).to.equal(
      "will make 2 objects; drop table guardian_archive.a__1; write 9 rows into public.a, of 12 that v6 offers; left out on purpose, which is no loss: 4 (3 too young, 1 deleted); " +
        "bring 1 archived row of public.a back; lock auth.users for at most 200 ms (SHARE ROW EXCLUSIVE, ACCESS EXCLUSIVE); told",
    );
    const { plan } = JSON.parse(json!) as { plan: Record<string, unknown> };
    expect(plan).to.have.keys("objects", "locks", "rows", "notes");
    expect(plan["objects"]).to.deep.equal({ made: 2, replaced: 0, dropped: 1 });
    expect(plan["notes"]).to.have.length(2);
    expect(more).to.deep.equal([]);
  });

  it("names up to five objects that it alters, and counts more", () => {
    const altering = (n: number): string | undefined =>
      planText({ replaced: Array.from({ length: n }, (_none, i) => `table t${i}`) }).split("\n")[0];
    expect(altering(5)).to.equal("will alter table t0, table t1, table t2, table t3, table t4");
    expect(altering(6)).to.equal("will alter 6 objects");
  });

  it("that changes nothing says nothing; one without v6 locks says so", () => {
    expect(planText({})).to.equal("");
    expect(planText({ made: ["table public.a"], locks: [] })).to.match(/^will make 1 object; take no v6 locks\n/);
  });
});
