import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { clientFolder } from "../../scripts/pg-clients";
import { major, withV6, type V6 } from "../support/postgres";
import { ModelEngine, type Declared, type Outcome } from "./model-engine";

/** Sequences of verbs, each from a seed of its own. */
const sequences = 200;
const verbsEach = 4;

const modules = ["000_audit_log", "001_feature_flags", "002_migration_tracking", "004_enhanced_consent"];

/** The least that has one of each that could lose something: rows, a flag, functions, the ledger. */
const declared = (folder: string): Declared[] => [
  { kind: "Ledger", name: "ledger", args: () => ({ purge: false }) },
  {
    kind: "Backup",
    name: "backup",
    args: (ledgerId) => ({
      ...{ directory: join(folder, "backups"), jobs: 1, maxAgeSeconds: 3600, verify: "list", ledgerId },
      ...{ modules, migrations: ["consents"] },
    }),
  },
  ...modules.map((module): Declared => {
    return { kind: "SqlModule", name: module, args: (ledgerId) => ({ module, ledgerId }) };
  }),
  {
    kind: "MigrationSession",
    name: "session",
    args: (ledgerId) => ({
      ...{ migrationType: "v6_to_v7", sourceVersion: "v6.0", targetVersion: "v7.0", environment: "dev" },
      ...{ totalSteps: 9, migrations: [], ledgerId },
    }),
  },
  {
    kind: "DataMigration",
    name: "consents",
    args: (ledgerId) => ({
      ...{ migration: "consents", maxDataLoss: 0.001, ledgerId },
      parameters: { mode: "assumed", legalBasis: "consent", statement: "made up" },
    }),
  },
  {
    kind: "FeatureFlag",
    name: "enhanced_consent",
    args: (ledgerId) => ({
      ...{ flag: "enhanced_consent", enabled: true, rolloutPercentage: 100, enabledForUsers: [], ledgerId },
    }),
  },
];

/** What the database has of it: how many consents, the flag's percentage, the module's functions; -1: not there. */
async function there(client: Client): Promise<{ consents: number; percent: number; audited: boolean }> {
  const has = async (table: string): Promise<boolean> =>
    (await client.query<{ it: boolean }>("SELECT to_regclass($1) IS NOT NULL AS it", [table])).rows[0]!.it;
  const value = async (table: string, sql: string): Promise<number> =>
    (await has(table)) ? (await client.query<{ n: number }>(sql)).rows[0]!.n : -1;
  return {
    consents: await value("public.patient_consents", "SELECT count(*)::int AS n FROM public.patient_consents"),
    percent: await value(
      "public.feature_flags",
      "SELECT rollout_percentage AS n FROM public.feature_flags WHERE feature_name = 'enhanced_consent'",
    ),
    audited: await has("public.audit_log"),
  };
}

/** A small generator of numbers from a seed (mulberry32), so that a sequence can be run again. */
function numbers(seed: number): (below: number) => number {
  let at = seed;
  return (below) => {
    at = (at + 0x6d2b79f5) | 0;
    let t = Math.imul(at ^ (at >>> 15), 1 | at);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** What a renamed resource's error says: `state rename` back, or `state delete` where its name is taken again. */
function mendNames(engine: ModelEngine): void {
  for (const { name } of engine.declared) {
    const renamed = `${name}_renamed`;
    if (engine.names().includes(name)) engine.forget(renamed);
    else engine.rename(renamed, name);
  }
}

/** Runs one sequence. @param told gets each verb and what it came to */
async function sequence(engine: ModelEngine, client: Client, seed: number, told: string[]): Promise<void> {
  const next = numbers(seed);
  const all = engine.declared.length;
  const before = await there(client);
  const step = async (said: string, verb: () => Promise<Outcome> | Outcome): Promise<Outcome> => {
    told.push(said);
    const outcome = await verb();
    told.push(outcome);
    return outcome;
  };
  await step("up", () => engine.up(all));
  const full = await there(client);
  expect(full.consents).to.be.above(10);
  expect(full).to.deep.include({ percent: 100, audited: true });
  const old = engine.save();
  for (let i = 0; i < verbsEach; i++) {
    const [verb, name, through] = [next(15), engine.declared[next(all)]!.name, next(all)];
    const was = await there(client);
    const [replace, targets] = [[name], [name]];
    const verbs: [string, () => Promise<Outcome> | Outcome][] = [
      ["up", () => engine.up(all)],
      [`up --replace ${name}`, () => engine.up(all, { replace })],
      [`up --replace ${name}, killed before the delete`, () => engine.up(all, { replace, killed: true })],
      [`state taint ${name}`, () => engine.taint(name)],
      [`state delete ${name}`, () => engine.forget(name)],
      ["import of the first state", () => engine.restore(old)],
      ["refresh", () => engine.refresh()],
      [`raise or lower through to ${through}`, () => engine.up(through)],
      ["destroy", () => engine.destroy()],
      [`target: up --target ${name}`, () => engine.up(all, { targets })],
      [`target: up --target-replace ${name}`, () => engine.up(all, { targets, replace })],
      [`target: through ${through}, --target ${name}`, () => engine.up(through, { targets })],
      [`target: destroy --target ${name}`, () => engine.destroy(name)],
      ["up --refresh", () => engine.up(all, { refreshed: true })],
      [`state rename ${name}`, () => engine.rename(name, `${name}_renamed`)],
    ];
    const [said, run] = verbs[verb]!;
    const ok = (await step(said, run)) === "ok";
    const now = await there(client);
    if (said.startsWith("up") && ok) expect(now).to.deep.equal(full);
    if (said === "destroy" && ok) expect(now).to.deep.equal(before);
    if (/^(state|import|refresh)/.test(said)) expect(now).to.deep.equal(was);
    // Never some of the rows, never half of a flag.
    expect([-1, 0, full.consents]).to.include(now.consents);
    expect([-1, 0, 100]).to.include(now.percent);
  }
  // Whatever was done: the way out of a rename that its error names, refresh and up mend it, and what was mended can be
  // rolled back.
  mendNames(engine);
  expect(await step("refresh", () => engine.refresh())).to.equal("ok");
  expect(await step("up", () => engine.up(all))).to.equal("ok");
  expect(await there(client)).to.deep.equal(full);
  expect(await step("destroy", () => engine.destroy())).to.equal("ok");
  expect(await there(client)).to.deep.equal(before);
  expect(engine.held()).to.deep.equal([]);
}

describe("random sequences of Pulumi's verbs", function () {
  it(`16-1: after each of ${sequences} rows and flags are right`, async function () {
    this.timeout(sequences * 60_000);
    const folder = mkdtempSync(join(tmpdir(), "guardian-verbs-"));
    const bin = process.env["GUARDIAN_PG_BIN"];
    process.env["GUARDIAN_PG_BIN"] = await clientFolder(major);
    const wrong: string[] = [];
    try {
      for (let seed = 1; seed <= sequences; seed++) {
        const told: string[] = [];
        const run = async (db: V6): Promise<void> =>
          sequence(new ModelEngine(db.migrator, declared(folder)), await db.connect(), seed, told);
        await withV6(run, { users: 30 }).catch((err: unknown) => {
          wrong.push(`seed ${seed}: ${told.join(", ")}: ${err instanceof Error ? err.message : String(err)}`);
        });
      }
    } finally {
      if (bin === undefined) delete process.env["GUARDIAN_PG_BIN"];
      else process.env["GUARDIAN_PG_BIN"] = bin;
      rmSync(folder, { recursive: true, force: true });
    }
    expect(wrong, wrong.join("\n\n")).to.deep.equal([]);
  });
});
