import { expect } from "chai";
import type { Client } from "pg";
import type { Run } from "../../bench/benchmark";
import { calls, prepare } from "../../bench/calls";
import { durable, measure } from "../../bench/calls/measure";
import { assertIndexes } from "../../bench/calls/plans";
import type { Person } from "../../bench/calls/statements";
import { fhir, measure as measureFhir } from "../../bench/fhir";
import { withModules } from "../support/modules";

const modules = ["000_audit_log", "001_feature_flags", "004_enhanced_consent", "005_user_preferences"];
const quiet = (options: Record<string, number>): Run => ({
  options,
  say: () => undefined,
  signal: new AbortController().signal,
});
const few = quiet({ rounds: 3, iterations: 20 });

/** Runs a test on v7 for 300 users; the first client is the superuser, the second the owner. */
function prepared(test: (admin: Client, owner: Client, people: Person[]) => Promise<void>): Promise<void> {
  return withModules(modules, async (owner, db) => {
    await owner.query("INSERT INTO public.user_preferences (user_id) SELECT id FROM auth.users");
    const admin = await db.connect("admin");
    await test(admin, owner, await prepare(admin));
  });
}

/** What went wrong; fails if nothing did. */
async function failure(work: Promise<unknown>): Promise<string> {
  const outcome = await work.then(
    () => undefined,
    (err: unknown) => (err as Error).message,
  );
  if (outcome === undefined) throw new Error("expected a failure, but there was none");
  return outcome;
}

describe("bench calls", function () {
  this.timeout(120_000);

  it("measures the calls beside SELECT 1, with the promised figures", async () => {
    const said: string[] = [];
    const figures = await calls.run({
      ...quiet({ rounds: 3, iterations: 20, users: 300 }),
      say: (line) => said.push(line),
    });
    expect(Object.keys(figures)).to.deep.equal([
      ...["select1", "consentCheck", "flagCheck", "preferenceUpdate", "durableUpdate", "users", "commits"],
    ]);
    for (const name of ["consentCheck", "flagCheck", "preferenceUpdate"]) {
      const { p50Ms, p95Ms, p95Ratio } = figures[name] as Record<string, number>;
      expect(p50Ms, name).to.be.above(0);
      expect(p95Ms, name).to.be.at.least(p50Ms!);
      expect(p95Ratio, name).to.be.above(0);
    }
    expect(Object.keys(figures["select1"] as object)).to.deep.equal(["p50Ms", "p95Ms"]);
    expect(figures).to.deep.include({ users: 300, commits: { fsync: "on", synchronous_commit: "off" } });
    expect(said.filter((line) => line.includes(" uses "))).to.deep.equal([
      "consentCheck uses patient_consents_granted_to_idx",
      "flagCheck uses feature_flags_pkey",
      "preferenceUpdate uses user_preferences_pkey",
    ]);
  });

  it("fails where a call does not do what it is for", async () => {
    await prepared(async (admin, owner, people) => {
      await measure(owner, people, few);
      await owner.query("RESET role");
      await admin.query("DELETE FROM public.user_preferences");
      expect(await failure(measure(owner, people, few))).to.equal("preferenceUpdate did not answer as it should");
      expect(await failure(durable(owner, people, few.signal))).to.match(/^preferenceUpdate did not answer/);
      await owner.query("RESET role");
      await admin.query("SET session_replication_role = replica; DELETE FROM public.patient_consents");
      expect(await failure(measure(owner, people, few))).to.equal("consentCheck did not answer as it should");
    });
  });

  it("fails where a plan has lost its index, naming the call", async () => {
    await prepared(async (admin, _, people) => {
      await assertIndexes(admin, people, () => undefined);
      for (const [call, table, drop] of [
        [
          "preferenceUpdate",
          "user_preferences",
          "ALTER TABLE public.user_preferences DROP CONSTRAINT user_preferences_pkey",
        ],
        ["flagCheck", "feature_flags", "ALTER TABLE public.feature_flags DROP CONSTRAINT feature_flags_pkey"],
      ] as const) {
        await admin.query("RESET role; SET auto_explain.log_min_duration = -1");
        await admin.query(drop);
        const said = await failure(assertIndexes(admin, people, () => undefined));
        expect(said).to.contain(`the plan of ${call} uses no index of ${table}`);
      }
    });
  });
});

describe("bench fhir", function () {
  this.timeout(120_000);

  it("measures building beside reading, with the promised figures", async () => {
    const figures = await fhir.run(quiet({ rounds: 3, users: 30 }));
    expect(Object.keys(figures)).to.deep.equal(["resources", "resourcesPerSecond", "ratioToSelect"]);
    const { resources, resourcesPerSecond, ratioToSelect } = figures as Record<string, number>;
    expect(resources).to.be.above(30);
    expect(resourcesPerSecond).to.be.above(0);
    expect(ratioToSelect).to.be.above(0);
  });

  it("fails where nothing is built", async () => {
    await withModules(["000_audit_log", "003_fhir_integration"], async (owner, db) => {
      const admin = await db.connect("admin");
      const once = () => measureFhir(owner, 1, () => undefined, new AbortController().signal);
      await once();
      await admin.query("TRUNCATE auth.users CASCADE");
      expect(await failure(once())).to.equal("nothing was built or read");
    });
  });
});
