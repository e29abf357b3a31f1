import { expect } from "chai";
import type { Client } from "pg";
import type { V6 } from "../support/postgres";
import { outcome, withWalk, withWalkOn, type Held, type Made, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";
import { long } from "../support/long";

type Bag = Record<string, Wire>;

const modules = ["000_audit_log", "001_feature_flags"];
const all = [...modules, "002_migration_tracking", "009_operations"];
const name = "telehealth";
const off = { enabled: false, rolloutPercentage: 0, enabledForUsers: [] };
const half = { enabled: true, rolloutPercentage: 50, enabledForUsers: [] };
const of = (ledgerId: Wire, values: Bag = off): Bag => ({
  ...{ flag: name, description: "Visits by video", ...values, ledgerId },
});

/** The row; undefined if there is none. */
async function row(client: Client): Promise<unknown> {
  const { rows } = await client.query(
    `SELECT enabled, rollout_percentage AS percent, description, configuration FROM public.feature_flags WHERE feature_name = $1`,
    [name],
  );
  return rows[0];
}
const values = (percent: number, description = "Visits by video"): unknown => ({
  ...{ enabled: percent > 0, percent, description, configuration: {} },
});
const byHand = "INSERT INTO public.feature_flags (feature_name, description) VALUES ('telehealth', 'of somebody')";

/** What stays of what was said of it. */
const said = (walk: Walk, urn: string): string => walk.said(undefined, urn).join("\n");

describe("provider: a flag that the stack declares", function () {
  this.timeout(120_000);
  const walking = (
    through: readonly string[],
    test: (walk: Walk, made: Made, client: Client, db: V6) => Promise<void>,
  ): Promise<void> => withWalkOn(through, async (walk, made, db) => test(walk, made, await db.connect(), db));
  /** Another run of the engine, which knows nothing of what the one before asked. */
  const anotherRun = (db: V6, test: (walk: Walk) => Promise<void>, stack = "dev") =>
    withWalk({ database: db.migrator, stack }, test);

  it("16-14 is made, set, replaced and removed with its row; preview says the row", () =>
    walking(modules, async (walk, { ledger }, client) => {
      const ledgerId = ledger.state["ledgerId"]!;
      const { urn } = await walk.create("FeatureFlag", name, of(ledgerId), { preview: true });
      expect(said(walk, urn)).to.match(/^will write 1 row into public\.feature_flags\n/);
      expect(await row(client)).to.equal(undefined);
      const made = await walk.create("FeatureFlag", name, of(ledgerId));
      expect([made.id, await row(client)]).to.deep.equal([name, values(0)]);
      const set = await walk.update(made, of(ledgerId, { ...half, description: "Visits by video or telephone" }));
      expect(await row(client)).to.deep.equal(values(50, "Visits by video or telephone"));
      expect(await walk.diff(set)).to.deep.equal({ changes: "none", paths: {} });
      // A replacement: create takes the row over, the delete of the old id does nothing.
      const again = await walk.create("FeatureFlag", name, set.inputs);
      await walk.remove(set);
      expect([again.id, await row(client)]).to.deep.equal([`${name}~0.1`, values(50, "Visits by video or telephone")]);
      await walk.remove(again);
      expect(await row(client)).to.equal(undefined);
      const next = await walk.create("FeatureFlag", name, of(ledgerId));
      expect([next.id, await row(client)]).to.deep.equal([`${name}~1.0`, values(0)]);
      const wrong = walk.check("FeatureFlag", name, { ...of(ledgerId), flag: "Telehealth" });
      expect(await outcome(wrong)).to.contain("flag: must be 2 to 63 small letters, digits and _, a letter first");
    }));

  it("16-14 of a name that somebody else's row has is refused, by preview too, and that row stays", () =>
    walking(modules, async (walk, { ledger }, client, db) => {
      const ledgerId = ledger.state["ledgerId"]!;
      await client.query(byHand);
      const theirs = await row(client);
      for (const preview of [true, false]) {
        const message = await outcome(walk.create("FeatureFlag", name, of(ledgerId, half), { preview }));
        expect(message)
          .to.contain("a flag of this name is there already, and this stack did not make it; it is left as it is")
          .and.match(/\[flag-exists\]\n {2}where: public\.feature_flags, telehealth, changed by \w+.* at 20/)
          .and.contain("give yours another name in guardian:flags")
          .and.contain("DELETE FROM public.feature_flags WHERE feature_name = 'telehealth'");
        const seeded = { ...of(ledgerId), flag: "event_sourcing" };
        expect(await outcome(walk.create("FeatureFlag", "event_sourcing", seeded, { preview })))
          .to.contain("[flag-exists]")
          .and.contain("module 001_feature_flags delivers it: take it out of guardian:flags");
      }
      // What was never made removes nothing.
      const failed = { urn: walk.urn("FeatureFlag", name), id: name, inputs: of(ledgerId), state: of(ledgerId) };
      await walk.remove({
        ...failed,
        state: { ...failed.state, configuration: {}, database: ledger.state["database"]! },
      });
      expect(await row(client)).to.deep.equal(theirs);
      await client.query("DELETE FROM public.feature_flags WHERE feature_name = 'telehealth'");
      const made = await walk.create("FeatureFlag", name, of(ledgerId, half));
      expect(await row(client)).to.deep.equal(values(50));
      // Another stack has no say in it, until it takes the whole over.
      const prod = (held: Held): Held => ({ ...held, urn: held.urn.replace(":dev:", ":prod:") });
      await anotherRun(
        db,
        async (other) => {
          expect(await outcome(other.create("Ledger", "ledger", { purge: false }))).to.contain(
            "[ledger-of-another-stack]",
          );
          expect(await outcome(other.remove(prod(made)))).to.contain("[ledger-of-another-stack]");
          expect(await row(client)).to.deep.equal(values(50));
          await other.update(prod(ledger), { ...ledger.inputs, adopt: ledgerId });
          expect(await other.diff(prod(made))).to.deep.equal({ changes: "none", paths: {} });
          await other.remove(prod(made));
          expect(await row(client)).to.equal(undefined);
        },
        "prod",
      );
    }));

  it("16-14 shows what was done to it by hand, and overwrites nothing unseen: a refresh, then up", () =>
    walking(modules, async (walk, { ledger }, client, db) => {
      const flag = await walk.create("FeatureFlag", name, of(ledger.state["ledgerId"]!, half));
      for (const [column, value] of [
        ["description", "by hand"],
        ["configuration", '{"by": "hand"}'],
      ] as const) {
        await client.query(`UPDATE public.feature_flags SET ${column} = $1 WHERE feature_name = 'telehealth'`, [value]);
        await anotherRun(db, async (run) => {
          expect((await run.diff(flag)).paths).to.have.keys(column);
          expect(said(run, flag.urn)).to.match(/^drift: flag telehealth is not what this stack wrote; changed by /);
          for (const preview of [true, false])
            expect(await outcome(run.update(flag, flag.inputs, { preview }))).to.contain("[flag-changed]");
          const seen = await run.read(flag);
          expect(seen.state[column]).not.to.deep.equal(flag.state[column]);
          await run.update(seen);
          expect(await row(client)).to.deep.equal(values(50));
        });
      }
      await client.query("DELETE FROM public.feature_flags WHERE feature_name = 'telehealth'");
      await anotherRun(db, async (run) => {
        expect((await run.diff(flag)).changes).to.equal("some");
        for (const preview of [true, false])
          expect(await outcome(run.update(flag, flag.inputs, { preview })))
            .to.contain("[flag-missing]")
            .and.contain("see it: pulumi refresh; then up makes the row anew");
        expect((await run.read(flag)).id, "gone").to.equal("");
        expect(said(run, flag.urn)).to.match(/drift: the row of flag telehealth is gone; changed by \w+/);
      });
      await anotherRun(db, async (run) => {
        await run.create("FeatureFlag", name, flag.inputs, { preview: true });
        expect(said(run, flag.urn)).to.contain("will write 1 row").and.not.contain("taken over");
        const again = await run.create("FeatureFlag", name, flag.inputs);
        expect([again.id, await row(client)]).to.deep.equal([`${name}~0.1`, values(50)]);
        await run.remove(again);
        expect(await row(client)).to.equal(undefined);
      });
    }));

  long("16-14 goes off with an emergency rollback, and with the table that a state has forgotten", () =>
    walking(all, async (walk, made, client, db) => {
      const { ledger, modules: held } = made;
      const ledgerId = ledger.state["ledgerId"]!;
      const flag = await walk.create("FeatureFlag", name, of(ledgerId, half));
      const { rows } = await client.query<{ text: string }>("SELECT emergency_rollback_to_v6() AS text");
      const id = /Session ID: ([-0-9a-f]+)/.exec(rows[0]!.text)![1]!;
      expect(await row(client)).to.deep.equal(values(0));
      const another = { ...of(ledgerId, half), flag: "visits" };
      await anotherRun(db, async (run) => {
        for (const preview of [true, false]) {
          expect(await outcome(run.update(flag, flag.inputs, { preview }))).to.contain("[emergency-rollback]");
          expect(await outcome(run.create("FeatureFlag", "visits", another, { preview }))).to.contain(id);
        }
        const { rowCount } = await client.query("SELECT FROM public.feature_flags WHERE feature_name = 'visits'");
        expect(rowCount, "made, and then refused").to.equal(0);
        await run.update(flag, { ...flag.inputs, acknowledge: id });
        expect(await row(client)).to.deep.equal(values(50));
        for (const module of held.toReversed().slice(0, 3)) await run.remove(module);
        await run.create("Backup", "backup", run.backupArgs(ledgerId, all));
        await run.create("SqlModule", "001_feature_flags", { module: "001_feature_flags", ledgerId });
        const anew = await run.create("FeatureFlag", name, { ...of(ledgerId, half), acknowledge: id });
        expect([anew.id, await row(client)]).to.deep.equal([`${name}~1.0`, values(50)]);
      });
    }),
  );
});
