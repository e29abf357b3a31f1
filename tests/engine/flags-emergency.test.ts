import { expect } from "chai";
import type { Client } from "pg";
import { readRollbacks } from "../../engine/emergency";
import type { Queryable } from "../../engine/base/sql";
import type { FencedWriter } from "../../engine/database";
import { resetFlag, writeFlag } from "../../engine/flags";
import { byHand, flag, on, withFlags, writeWaits } from "./flags";
import { column, Engine, refusalOf } from "./module/harness";

const allOff = "UPDATE public.feature_flags SET enabled = false, rollout_percentage = 0, enabled_for_users = '{}'";
const session = `INSERT INTO public.migration_sessions (migration_type, status)
  VALUES ('v7_to_v6_rollback', 'emergency_rollback')`;

/** As module 009 does it. */
const rollBack = async (client: Client): Promise<string> => {
  await client.query(allOff);
  const [id] = await column<string>(
    client,
    `INSERT INTO public.migration_sessions (migration_type, status, created_at)
     VALUES ('v7_to_v6_rollback', 'emergency_rollback', clock_timestamp()) RETURNING id`,
  );
  return id!;
};
const foreign = "00000000-0000-4000-8000-000000000000";

describe("feature flags after an emergency rollback", function () {
  this.timeout(60_000);

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
      await client.query(allOff);
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
      const known = (await engine.host.read(readRollbacks)).map(({ acknowledged }) => acknowledged);
      expect(known).to.deep.equal([true, true]);
    }));

  it("16-10 a write that waited for an emergency rollback switches nothing on", () =>
    withFlags(async ({ db, write, live }) => {
      const [admin, operator] = [await db.connect("admin"), await db.connect()];
      await operator.query(`BEGIN; SELECT FROM public.feature_flags FOR UPDATE;
        ${session}`);
      const refused = refusalOf(write(on));
      await writeWaits(admin);
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
        writeFlag(fenced, "telehealth", wanted, undefined),
      );
      const refused = refusalOf(write);
      await writeWaits(admin);
      await operator.query(`${session}; COMMIT`);
      expect((await refused).code).to.equal("emergency-rollback");
      const made = await client.query("SELECT FROM public.feature_flags WHERE feature_name = 'telehealth'");
      expect(made.rowCount).to.equal(0);
    }));

  for (const [what, holding] of [
    ["written", /FOR UPDATE/],
    ["reset", /UPDATE public\.feature_flags f/],
  ] as const)
    it(`while a flag is ${what} by an operator that stands still, an emergency rollback has its rows in time`, () =>
      withFlags(async ({ db, write, live, seed }) => {
        await write(on);
        const operator = await db.connect();
        // It shows no sign of life, as one that was stopped.
        const still = new Engine(db.migrator, { parameters: { lease: 600_000 } });
        let [goOn, standing] = [(): void => undefined, (): void => undefined];
        const freed = new Promise<void>((resolve) => (goOn = resolve));
        const stands = new Promise<void>((resolve) => (standing = resolve));
        try {
          const work = still.write("FeatureFlag", flag, (fenced) => {
            standStill(fenced, holding, () => {
              standing();
              return freed;
            });
            return what === "reset" ? resetFlag(fenced, flag) : writeFlag(fenced, flag, { ...seed, ...on }, undefined);
          });
          const ended = work.then(
            () => undefined,
            (err: unknown) => err,
          );
          await stands;
          // Thrice what the function waits, for a slow machine; any other session of ours would stand there for 60 s.
          await operator.query("SET lock_timeout = '30s'; BEGIN; SELECT FROM public.feature_flags FOR UPDATE");
          await rollBack(operator);
          await operator.query("COMMIT");
          goOn();
          const err = await ended;
          if (what === "written") expect(err).to.include({ code: "emergency-rollback" });
          else expect(err).to.equal(undefined);
          expect((await live()).enabled).to.equal(false);
        } finally {
          goOn();
          await still.close();
        }
      })).timeout(120_000);
});

/** Keeps the first transaction in which such a statement was run from going on. */
function standStill(fenced: FencedWriter, after: RegExp, stand: () => Promise<void>): void {
  const transaction: FencedWriter["transaction"] = fenced.transaction.bind(fenced);
  fenced.transaction = (work) =>
    transaction((db) => {
      const query: Queryable["query"] = async (text, values) => {
        const result = await db.query(text, values);
        if (after.test(text)) await stand();
        return result as never;
      };
      return work({ query, script: (text) => db.script(text) });
    });
}
