import { expect } from "chai";
import type { Client } from "pg";
import * as calls from "../support/calls";
import { withWalkOn, type Held, type Made, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";

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

  /** The ledger's update, as the engine asks it where a diff says so. */
  const change = ({ urn, id, state, inputs }: Held, news: Bag) => ({
    request: (preview: boolean) => calls.update(urn, { id, olds: state, oldInputs: inputs, news }, { preview }),
    diff: calls.diff(urn, { id, olds: state, oldInputs: inputs, news }),
  });
  const steps = async (client: Client): Promise<unknown> =>
    (await client.query("SELECT count(*)::int AS n, max(epoch) AS epoch FROM guardian_migration.step")).rows[0];
  const said = (walk: Walk, urn: string): string =>
    walk.plugin.engine.logs
      .filter((line) => line.urn === urn && !line.ephemeral)
      .map((line) => line.message)
      .join("\n");

  it("16-4: is asked of the first resource: an empty or a foreign value is refused before anything is written", () =>
    walking(async (walk, { ledger }, client) => {
      const flag = await walk.create("FeatureFlag", "enhanced_consent", on(ledger.state["ledgerId"]!));
      const [first, second] = [await rollBack(client), await rollBack(client)];
      const before = await steps(client);
      const { client: provider, call, fail } = walk.plugin;
      for (const acknowledge of [{}, { acknowledge: first }, { acknowledge: foreign }]) {
        // The program says what it said the last time: it is seen all the same.
        const inputs = { purge: false, switchesOn: true, ...acknowledge };
        const { request, diff } = change({ ...ledger, inputs }, inputs);
        expect(calls.changesOf(await call(provider.diff, diff)).paths).to.have.keys("acknowledge");
        for (const preview of [true, false])
          expect((await fail(provider.update, request(preview))).message)
            .to.contain("[emergency-rollback]")
            .and.contain(`pulumi config set guardian:acknowledge ${second}, then up`);
      }
      expect(await steps(client)).to.deep.equal(before);
      // A stage less is the way back, which asks for nothing.
      const back = change(ledger, { purge: false, switchesOn: false });
      await call(provider.update, back.request(false));

      const right = change(ledger, { purge: false, switchesOn: true, acknowledge: second });
      await call(provider.update, right.request(true));
      expect(said(walk, ledger.urn)).to.match(
        new RegExp(`acknowledges the emergency rollback ${second} of [^,]+, and with it the older ${first} of `),
      );
      await call(provider.update, right.request(false));
      // No refresh between: the state says what was on before.
      const acknowledged = { ...flag.inputs, acknowledge: second };
      const flagged = change(flag, acknowledged);
      await call(provider.update, flagged.request(true));
      await call(provider.update, flagged.request(false));
      const { rows } = await client.query(
        "SELECT rollout_percentage AS percent FROM public.feature_flags WHERE feature_name = 'enhanced_consent'",
      );
      expect(rows).to.deep.equal([{ percent: 100 }]);
      // Left there for ever, or taken away: nothing is asked again.
      for (const acknowledge of [{ acknowledge: second }, { acknowledge: foreign }, {}]) {
        const inputs = { purge: false, switchesOn: true, ...acknowledge };
        const { diff, request } = change({ ...ledger, inputs }, inputs);
        expect(calls.changesOf(await call(provider.diff, diff)).changes).to.equal("none");
        await call(provider.update, request(true));
        await call(provider.update, change(flag, { ...flag.inputs, ...acknowledge }).request(false));
      }
    }));

  it("16-4: waits in the archive after a destroy: a new up is refused before anything is written, or needs nothing", () =>
    walking(async (walk, all, client) => {
      const flag = await walk.create("FeatureFlag", "enhanced_consent", on(all.ledger.state["ledgerId"]!));
      const id = await rollBack(client);
      for (const held of [flag, ...all.modules.toReversed(), all.backup, all.ledger]) await walk.remove(held);
      const before = await steps(client);
      const wanted = { purge: false, switchesOn: true };
      for (const preview of [true, false]) {
        const failed = await walk.create("Ledger", "ledger", wanted, { preview }).catch((err: unknown) => String(err));
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
    }));
});
