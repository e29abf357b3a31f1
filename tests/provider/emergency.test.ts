import { expect } from "chai";
import type { Client } from "pg";
import { outcome, withWalkOn, type Held, type Made, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";
import { long } from "../support/long";

type Bag = Record<string, Wire>;

const modules = ["000_audit_log", "001_feature_flags", "002_migration_tracking"];
const foreign = "00000000-0000-4000-8000-000000000000";

/** As module 009 does it. @returns its session */
async function rollBack(client: Client): Promise<string> {
  await client.query("UPDATE public.feature_flags SET enabled = false, rollout_percentage = 0");
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO public.migration_sessions (migration_type, status, created_at)
     VALUES ('v7_to_v6_rollback', 'emergency_rollback', clock_timestamp()) RETURNING id`,
  );
  return rows[0]!.id;
}

const on = (ledgerId: Wire): Bag => ({
  ...{ flag: "enhanced_consent", enabled: true, rolloutPercentage: 100, enabledForUsers: [], ledgerId },
});

describe("provider: an emergency rollback", function () {
  this.timeout(120_000);
  const walking = (test: (walk: Walk, made: Made, client: Client) => Promise<void>): Promise<void> =>
    withWalkOn(modules, async (walk, made, db) => test(walk, made, await db.connect()));

  const steps = async (client: Client): Promise<unknown> =>
    (await client.query("SELECT count(*)::int AS n, max(epoch) AS epoch FROM guardian_migration.step")).rows[0];
  it("16-4: is asked of the first resource: an empty or a foreign value is refused before anything is written", () =>
    walking(async (walk, { ledger }, client) => {
      const flag = await walk.create("FeatureFlag", "enhanced_consent", on(ledger.state["ledgerId"]!));
      const [first, second] = [await rollBack(client), await rollBack(client)];
      const before = await steps(client);
      for (const acknowledge of [{}, { acknowledge: first }, { acknowledge: foreign }]) {
        // The program says what it said the last time: it is seen all the same.
        const inputs = { purge: false, switchesOn: true, ...acknowledge };
        const held = { ...ledger, inputs };
        expect((await walk.diff(held)).paths).to.have.keys("acknowledge");
        for (const preview of [true, false])
          expect(await outcome(walk.update(held, inputs, { preview })))
            .to.contain("[emergency-rollback]")
            .and.contain(`pulumi config set guardian:acknowledge ${second}, then up`);
      }
      expect(await steps(client)).to.deep.equal(before);
      // A stage less is the way back, which asks for nothing.
      await walk.update(ledger, { purge: false, switchesOn: false });

      const right = { purge: false, switchesOn: true, acknowledge: second };
      await walk.update(ledger, right, { preview: true });
      expect(walk.said(undefined, ledger.urn).join("\n")).to.match(
        new RegExp(`acknowledges the emergency rollback ${second} of [^,]+, and with it the older ${first} of `),
      );
      await walk.update(ledger, right);
      // No refresh between: the state says what was on before.
      const acknowledged = { ...flag.inputs, acknowledge: second };
      for (const preview of [true, false]) await walk.update(flag, acknowledged, { preview });
      const { rows } = await client.query(
        "SELECT rollout_percentage AS percent FROM public.feature_flags WHERE feature_name = 'enhanced_consent'",
      );
      expect(rows).to.deep.equal([{ percent: 100 }]);
      // Left there for ever, or taken away: nothing is asked again.
      for (const acknowledge of [{ acknowledge: second }, { acknowledge: foreign }, {}]) {
        const inputs = { purge: false, switchesOn: true, ...acknowledge };
        const held = { ...ledger, inputs };
        expect((await walk.diff(held)).changes).to.equal("none");
        await walk.update(held, inputs, { preview: true });
        await walk.update(flag, { ...flag.inputs, ...acknowledge });
      }
    }));

  long(
    "16-4: waits in the archive after a destroy: a new up is refused before anything is written, or needs nothing",
    () =>
      walking(async (walk, all, client) => {
        const flag = await walk.create("FeatureFlag", "enhanced_consent", on(all.ledger.state["ledgerId"]!));
        const id = await rollBack(client);
        for (const held of [flag, ...all.modules.toReversed(), all.backup, all.ledger]) await walk.remove(held);
        const before = await steps(client);
        const wanted = { purge: false, switchesOn: true };
        for (const preview of [true, false]) {
          const failed = await outcome(walk.create("Ledger", "ledger", wanted, { preview }));
          expect(failed).to.contain(`pulumi config set guardian:acknowledge ${id}, then up`);
        }
        expect(await steps(client)).to.deep.equal(before);
        const again = await walk.create("Ledger", "ledger", { ...wanted, acknowledge: id });
        const ledgerId = again.state["ledgerId"]!;
        await walk.create("Backup", "backup", walk.backupArgs(ledgerId, modules));
        const made: Held[] = [];
        for (const module of modules) made.push(await walk.create("SqlModule", module, { module, ledgerId }));
        const back = await walk.create("FeatureFlag", "enhanced_consent", { ...on(ledgerId), acknowledge: id });
        for (const held of [back, ...made.toReversed(), again]) await walk.remove(held);
        // Acknowledged once, it is so for the next life too.
        await walk.create("Ledger", "ledger", wanted, { preview: true });
        await walk.create("Ledger", "ledger", wanted);
      }),
  );
});
