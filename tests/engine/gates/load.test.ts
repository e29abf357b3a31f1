import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Client } from "pg";
import { allModules } from "../../../components/plan";
import { readSequences, readTables } from "../../../engine/fingerprint/content";
import type { Queryable } from "../../../engine/base/sql";
import { runCheck, type Site } from "../../../engine/gates/check";
import { countedMs, pacing } from "../../../engine/gates/performance/pacing";
import { openingSpeed } from "../../../engine/migrate/workers/throttle/control";
import { long } from "../../support/long";
import { useDumps } from "../dumps";
import { withEngine } from "../module/harness";
import { all, declared } from "./asked";
import { ask, asOneProcess, provenBackup } from "./harness";
import { noting, results } from "./measured";

const pass = ["v6-rows", "v6-cells", "v6-written"];

describe("gates: what they burden v6 with", function () {
  this.timeout(120_000);
  const place = useDumps();

  // 70 results of each of 300 accounts: with fewer than 20,000 rows it would be through before anything could be measured.
  long(
    "19-4 the pass begins slowly, and goes slower while the application feels it, by the budget of data migrations",
    () =>
      withEngine(async (engine, db) => {
        const admin = await db.connect("admin");
        await results(admin, 70);
        await provenBackup(engine, db, place, admin);
        const told: string[] = [];
        let felt: Promise<void> | undefined;
        const say = (text: string): void => {
          told.push(text);
          // Whoever reads the largest table waits: it is what the application is felt by.
          if (text.includes("rows compared (slower: beginning slowly"))
            felt ??= hold(admin, "public.patient_lab_results");
        };
        const outcomes = await asOneProcess(db, (host) => ask(host, pass, undefined, say, true));
        await felt;
        expect(outcomes.map(({ check, verdict }) => `${check} ${verdict}`)).to.deep.equal(
          pass.map((one) => `${one} passed`),
        );
        expect(
          told.filter((text) => text.includes("beginning slowly")),
          told.join("\n"),
        ).not.to.deep.equal([]);
        expect(told.join("\n")).to.match(/p95 of probes [\d.]+ ms, \+\d+ % \(budget \+10 %\)/);
      }),
  );

  it("19-5 a measurement rests for what the server works, and for what this process works itself not at all", async () => {
    // A server that answers at once: what takes its time is the work alone.
    const db = { query: () => Promise.resolve({ rows: [] }), script: () => Promise.resolve() } as unknown as Queryable;
    const host = { read: (work: (asked: Queryable) => unknown) => work(db), parameters: { lockTimeout: 50 } };
    const site = { host, signal: new AbortController().signal } as unknown as Site;
    const restOf = async (work: () => Promise<unknown>): Promise<number | undefined> => {
      const { rested, pace } = noting();
      await pacing(site, { pace })(0, work);
      return rested[0]?.counted[0];
    };
    const busy = (): Promise<void> => {
      for (const from = performance.now(); performance.now() - from < 10 * countedMs;);
      return Promise.resolve();
    };
    // Twice what counts: a busy machine may have this process wait while it works.
    expect(await restOf(() => sleep(2 * countedMs))).to.equal(countedMs);
    expect(await restOf(busy)).to.be.below(countedMs);
    const began = performance.now();
    await pacing(site, {})(0, () => sleep(2 * countedMs));
    expect(performance.now() - began, "by the clock").to.be.at.least(countedMs / openingSpeed);
  });

  long("19-7 no check writes a row of v6 or v7", () =>
    withEngine(
      async (engine, db) => {
        const admin = await db.connect("admin");
        await provenBackup(engine, db, place, admin);
        const rows = async (): Promise<unknown> => ({
          tables: await readTables(admin, [], true),
          sequences: await readSequences(admin, []),
        });
        const before = await rows();
        await asOneProcess(db, async (host) => {
          for (const check of all) await runCheck(check, host, declared);
        });
        expect(await rows()).to.deep.equal(before);
      },
      { modules: allModules() },
    ),
  );
});

/** As long as nobody may read a table, milliseconds. */
const heldMs = 600;

async function hold(admin: Client, table: string): Promise<void> {
  await admin.query(`BEGIN; LOCK TABLE ${table}`);
  await sleep(heldMs);
  await admin.query("COMMIT");
}
