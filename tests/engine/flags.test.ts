import { expect } from "chai";
import type { Client } from "pg";
import { readFlags, readSeed, resetFlag, sameFlag, writeFlag, type FlagValues } from "../../engine/flags";
import { leavingFlags } from "../../engine/flag-leaving";
import { readSteps } from "../../engine/ledger/steps";
import { leavingFlagsText } from "../../resources/sentences";
import { readRollbacks } from "../../engine/emergency";
import { asRole, type V6 } from "../support/postgres";
import { column, endWriters, refusalOf, until, withEngine, type Engine } from "./module/harness";

const flag = "fhir_integration";
const user = "11111111-1111-4111-8111-111111111111";
const other = "22222222-2222-4222-8222-222222222222";

interface Flags {
  engine: Engine;
  db: V6;
  client: Client;
  seed: FlagValues;
  write: (wanted: Partial<FlagValues>, seen?: Partial<FlagValues>, acknowledged?: string) => Promise<void>;
  reset: () => Promise<void>;
  live: () => Promise<FlagValues>;
}

function withFlags(test: (flags: Flags) => Promise<void>): Promise<void> {
  const modules = ["000_audit_log", "001_feature_flags", "002_migration_tracking"];
  const work = async (engine: Engine, db: V6): Promise<void> => {
    const seed = (await engine.host.read(readSeed)).get(flag)!;
    const values = (some: Partial<FlagValues>): FlagValues => ({ ...seed, ...some });
    await test({
      engine,
      db,
      client: await db.connect(),
      seed,
      write: (wanted, seen, acknowledged) =>
        engine.write("FeatureFlag", flag, (fenced) =>
          writeFlag(fenced, flag, values(wanted), seen && values(seen), acknowledged),
        ),
      reset: () => engine.write("FeatureFlag", flag, (fenced) => resetFlag(fenced, flag)),
      live: async () => {
        const { description, ...owned } = (await engine.host.read(readFlags)).get(flag)!;
        expect(description).to.be.a("string");
        return owned;
      },
    });
  };
  return withEngine(work, { modules });
}

const on = { enabled: true, rolloutPercentage: 10, enabledForUsers: [user, other] };
const byHand = "UPDATE public.feature_flags SET rollout_percentage = 77 WHERE feature_name = 'fhir_integration'";

describe("feature flags", function () {
  this.timeout(60_000);

  it("are compared without the order of users, and with all else", () => {
    const a: FlagValues = {
      enabled: true,
      rolloutPercentage: 1,
      enabledForUsers: [user, other],
      configuration: { a: 1, b: { c: [1, 2] } },
    };
    expect(sameFlag(a, { ...a, enabledForUsers: [other, user], configuration: { b: { c: [1, 2] }, a: 1 } })).to.equal(
      true,
    );
    for (const b of [
      { ...a, enabled: false },
      { ...a, rolloutPercentage: 2 },
      { ...a, enabledForUsers: [user] },
      { ...a, configuration: { a: 1, b: { c: [2, 1] } } },
    ])
      expect(sameFlag(a, b)).to.equal(false);
  });

  it("are written, written again, and reset to what the module delivers", () =>
    withFlags(async ({ engine, write, reset, live, seed }) => {
      await write(on);
      expect(await live()).to.deep.equal({ ...seed, ...on });
      await write({ ...on, rolloutPercentage: 50, configuration: { supported_resources: [] } });
      expect(await live()).to.deep.equal({
        ...seed,
        ...on,
        rolloutPercentage: 50,
        configuration: { supported_resources: [] },
      });
      await reset();
      expect(await live()).to.deep.equal(seed);
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "undone" });
      await reset();
      await write(on);
      expect(await live()).to.deep.equal({ ...seed, ...on });
    }));

  it("changed by hand they are not overwritten unseen: who and when is told; after a refresh they are", () =>
    withFlags(async ({ engine, db, write, live }) => {
      await write(on);
      const admin = await db.connect("admin");
      await asRole(admin, "service_role", user, (c) =>
        c.query("SELECT public.enable_feature_for_user($1, $2)", [flag, "33333333-3333-4333-8333-333333333333"]),
      );
      const said = await refusalOf(write({ ...on, rolloutPercentage: 50 }, on));
      expect(said.what).to.equal(
        "the flag was changed outside this stack since it last wrote it; it is not overwritten unseen",
      );
      expect(said.where).to.match(
        /^flag fhir_integration, changed by service_role 11111111-1111-4111-8111-111111111111 at \d{4}-\d\d-\d\d /,
      );
      expect(said.message).not.to.contain("33333333");
      // Refused once more: the refusal itself does not make the ledger forget what was last written.
      await refusalOf(write({ ...on, rolloutPercentage: 50 }, on));
      expect((await live()).rolloutPercentage).to.equal(10);
      const seen = await live();
      await write({ ...on, rolloutPercentage: 50 }, seen);
      expect((await live()).rolloutPercentage).to.equal(50);
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "done" });
    }));

  it("16-16 are named once they leave the stack, also to an auditor, who may not ask what module 001 delivers", () =>
    withFlags(async ({ engine, client, seed, write }) => {
      await write(on);
      const now = (await engine.host.read(readFlags)).get(flag)!;
      const found = async () => engine.host.read(async (db) => leavingFlags(db, await readSteps(db), []));
      expect(await found()).to.deep.equal([{ flag, now, made: false, then: seed }]);
      await client.query("REVOKE EXECUTE ON FUNCTION public.feature_flag_seed() FROM guardian_migrator");
      expect(await found()).to.deep.equal([{ flag, now, made: false, then: undefined }]);
      expect(leavingFlagsText(await found())).to.contain(": fhir_integration (on for 10 % and 2 named accounts). If");
    }));

  it("set by hand to what the program says, or back to what the stack last wrote, they are as they should be", () =>
    withFlags(async ({ client, write, live }) => {
      await write(on);
      await client.query(byHand);
      await write({ ...on, rolloutPercentage: 77 });
      await client.query(byHand.replace("77", "5"));
      await refusalOf(write({ ...on, rolloutPercentage: 60 }));
      await client.query(byHand);
      // What the ledger knows is enough, though the state does not.
      await write({ ...on, rolloutPercentage: 60 });
      expect((await live()).rolloutPercentage).to.equal(60);
    }));

  it("are first taken over from what the module delivers, and from nothing else", () =>
    withFlags(async ({ client, write, engine }) => {
      await client.query(byHand);
      expect((await refusalOf(write(on))).where).to.match(/changed by guardian_migrator at/);
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "planned" });
      await client.query(byHand.replace("77", "0"));
      await write(on);
    }));

  it("a reset takes back whatever is there: flag values belong to the stack", () =>
    withFlags(async ({ client, write, reset, live, seed }) => {
      await write(on);
      await client.query(byHand);
      await reset();
      expect(await live()).to.deep.equal(seed);
    }));

  /** As module 009 does it. */
  const rollBack = async (client: Client): Promise<string> => {
    await client.query(
      "UPDATE public.feature_flags SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'",
    );
    const [id] = await column<string>(
      client,
      `INSERT INTO public.migration_sessions (migration_type, status, created_at)
       VALUES ('v7_to_v6_rollback', 'emergency_rollback', clock_timestamp()) RETURNING id`,
    );
    return id!;
  };
  const foreign = "00000000-0000-4000-8000-000000000000";

  it("after an emergency rollback nothing is switched on until that one is acknowledged, by create or by update", () =>
    withFlags(async ({ client, write, live, reset }) => {
      await write(on);
      const first = await rollBack(client);
      const refused = async (work: Promise<unknown>, id: string, besides = ""): Promise<void> => {
        const said = await refusalOf(work);
        expect(said.what).to.match(/^all features were switched off by an emergency rollback/);
        expect(said.where).to.match(
          new RegExp(`^flag fhir_integration, rollback session ${id} of [-0-9:.+ ]+${besides}$`),
        );
        expect(said.todo[0]).to.equal(
          `when the cause is mended: pulumi config set guardian:acknowledge ${id}, then up`,
        );
        expect((await live()).enabled).to.equal(false);
      };
      const seen = await live();
      await refused(write(on, seen), first);
      await refused(write(on, seen, foreign), first, `; guardian:acknowledge names another, ${foreign}`);
      await write({ ...on, enabled: false }, seen);
      await reset();
      await refused(write(on), first);
      await write(on, undefined, first);
      expect((await live()).enabled).to.equal(true);
      // The next one asks anew.
      const second = await rollBack(client);
      await refused(write(on, await live(), first), second, `; guardian:acknowledge names another, ${first}`);
      await write(on, await live(), second);
    }));

  it("16-4: one step back: what the rollback switched off needs no refresh, what somebody did besides does", () =>
    withFlags(async ({ client, write, live }) => {
      await write(on, on);
      const id = await rollBack(client);
      await client.query(byHand);
      expect((await refusalOf(write(on, on, id))).code).to.equal("flag-changed");
      await client.query(byHand.replace("77", "0"));
      await write(on, on, id);
      expect(await live()).to.deep.include({ enabled: true, rolloutPercentage: 10 });
      // Switched off by hand later on: that rollback is no reason to overwrite it.
      await client.query(
        "UPDATE public.feature_flags SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'",
      );
      for (const named of [id, undefined])
        expect((await refusalOf(write({ ...on, rolloutPercentage: 50 }, on, named))).code).to.equal("flag-changed");
    }));

  it("16-4: a write that failed after the rollback does not make it look older than what was last written", () =>
    withFlags(async ({ client, write, live }) => {
      await write(on, on);
      const id = await rollBack(client);
      await refusalOf(write(on, on));
      await write(on, on, id);
      expect((await live()).enabled).to.equal(true);
    }));

  it("16-4: acknowledged once, the id may go from the program; the newest covers the older, and an older one nothing", () =>
    withFlags(async ({ engine, client, write, live, reset }) => {
      await write(on, on);
      const [first, second] = [await rollBack(client), await rollBack(client)];
      expect((await refusalOf(write(on, on, first))).where)
        .to.contain(`rollback session ${second} of `)
        .and.match(new RegExp(`; it covers the older ${first} of .*; guardian:acknowledge names another, ${first}$`));
      await write(on, on, second);
      await write({ ...on, rolloutPercentage: 50 }, on);
      await write({ ...on, rolloutPercentage: 60 }, on, foreign);
      await reset();
      await write(on);
      expect((await live()).enabled).to.equal(true);
      expect((await engine.host.read(readRollbacks)).map(({ acknowledged }) => acknowledged)).to.deep.equal([
        true,
        true,
      ]);
    }));

  it("16-10 a write that waited for an emergency rollback switches nothing on", () =>
    withFlags(async ({ db, write, live }) => {
      const [admin, operator] = [await db.connect("admin"), await db.connect()];
      await operator.query(`BEGIN; SELECT FROM public.feature_flags FOR UPDATE;
        INSERT INTO public.migration_sessions (migration_type, status) VALUES ('v7_to_v6_rollback', 'emergency_rollback')`);
      const refused = refusalOf(write(on));
      await until(
        admin,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%FeatureFlag%' AND datname = current_database() AND wait_event_type = 'Lock')",
      );
      await operator.query("COMMIT");
      expect((await refused).what).to.match(/^all features were switched off by an emergency rollback/);
      expect((await live()).enabled).to.equal(false);
    }));

  it("16-14 a flag that is made while an emergency rollback is under way waits for it, and is not made", () =>
    withFlags(async ({ engine, db, client, seed }) => {
      const [admin, operator] = [await db.connect("admin"), await db.connect()];
      await operator.query(`BEGIN; SELECT FROM public.feature_flags FOR UPDATE`);
      const wanted = { ...seed, ...on, configuration: {}, description: "Visits by video" };
      const write = engine.write("FeatureFlag", "telehealth", (fenced) =>
        writeFlag(fenced, "telehealth", wanted, undefined, undefined),
      );
      const refused = refusalOf(write);
      await until(
        admin,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%FeatureFlag%' AND datname = current_database() AND wait_event_type = 'Lock')",
      );
      await operator.query(
        "INSERT INTO public.migration_sessions (migration_type, status) VALUES ('v7_to_v6_rollback', 'emergency_rollback'); COMMIT",
      );
      expect((await refused).code).to.equal("emergency-rollback");
      const made = await client.query("SELECT FROM public.feature_flags WHERE feature_name = 'telehealth'");
      expect(made.rowCount).to.equal(0);
    }));

  it("killed before its commit a write has not happened, and the ledger knows what was last written", () =>
    withFlags(async ({ engine, db, write, live }) => {
      const [admin, holder] = [await db.connect("admin"), await db.connect()];
      await write(on);
      await holder.query("BEGIN; SELECT FROM public.feature_flags FOR UPDATE");
      const failed = refusalOf(write({ ...on, rolloutPercentage: 50 }));
      await until(
        admin,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%FeatureFlag%' AND datname = current_database() AND wait_event_type = 'Lock')",
      );
      expect(await endWriters(admin)).to.equal(1);
      expect((await failed).what).to.match(/^the connection to the database was lost/);
      await holder.query("COMMIT");
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "running" });
      expect((await live()).rolloutPercentage).to.equal(10);
      await write({ ...on, rolloutPercentage: 50 });
      expect((await live()).rolloutPercentage).to.equal(50);
    }));

  it("whose row somebody deleted, or that no module delivers, are refused with the mend", () =>
    withFlags(async ({ engine, client, write }) => {
      await client.query("DELETE FROM public.feature_flags WHERE feature_name = 'fhir_integration'");
      const said = await refusalOf(write(on));
      expect(said.what).to.equal("the flag's row is gone; somebody deleted it by hand");
      await client.query(`INSERT INTO public.feature_flags (feature_name, enabled, rollout_percentage, enabled_for_users, configuration, description)
            SELECT * FROM public.feature_flag_seed() WHERE feature_name = 'fhir_integration'`);
      await write(on);
      expect(await engine.host.read(readFlags)).to.have.property("size", 12);
    }));
});
