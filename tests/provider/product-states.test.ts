import { expect } from "chai";
import * as calls from "../support/calls";
import { withV6 } from "../support/postgres";
import { outcome, walkModules, withMade, withWalk, withWalkOn, type Held } from "../support/walk";

/** The same of another server's database. */
const elsewhere = (state: Held["state"]): Held["state"] => ({
  ...state,
  database: { ...(state["database"] as Record<string, string>), systemIdentifier: "42" },
});

/** States that are not what this database's ledger says. */
describe("provider: the product and its state", function () {
  this.timeout(180_000);

  it("refuses the state of another database before anything else, and keeps its hands off", () =>
    withWalkOn(["000_audit_log"], async (walk, { backup, modules }) => {
      for (const held of [backup, modules[0]!]) {
        const other = { ...held, state: elsewhere(held.state) };
        for (const work of [
          () => walk.diff(other),
          () => walk.read(other),
          () => walk.update(other, other.inputs, { preview: true }),
          () => walk.update(other),
          () => walk.remove(other),
        ])
          expect(await outcome(work())).to.match(
            /^this stack's state belongs to another database; nothing was changed here \[state-of-another-database\]\n/,
          );
        expect(await walk.diff(held)).to.deep.equal({ changes: "none", paths: {} });
      }
    }));

  it("reads what was rolled back as gone, and deletes it a second time without a word", () =>
    withWalkOn(["000_audit_log"], async (walk, { modules }) => {
      await walk.remove(modules[0]!);
      await walk.remove(modules[0]!);
      expect(await walk.read(modules[0]!)).to.deep.include({ id: "", state: {} });
      // A state that still has it: up makes it again.
      expect(await walk.diff(modules[0]!)).to.deep.equal({ changes: "some", paths: { ledgerId: "update, output" } });
    }));

  it("deletes a ledger that it has purged a second time without a word, and none of another database", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const ledger = await walk.create("Ledger", "ledger", { purge: true });
        await walk.remove(ledger);
        await walk.remove(ledger);
        const other = { ...ledger, state: elsewhere(ledger.state) };
        expect(await outcome(walk.remove(other))).to.contain("[state-of-another-database]");
      }),
    ));

  it("reads what is unfinished as done in part; update finishes it", () =>
    withMade(["000_audit_log"], async ({ modules }, db) => {
      const held = modules[0]!;
      const client = await db.connect();
      await client.query(
        `UPDATE guardian_migration.step SET state = 'running', ended_at = NULL WHERE urn = $1 AND part = ''`,
        [held.urn],
      );
      await withWalk({ database: db.migrator }, async (next) => {
        const { urn, id, state, inputs } = held;
        const { client: provider, fail } = next.plugin;
        const { partly } = await fail(provider.read, calls.read(urn, id, state, inputs));
        expect(partly).to.deep.equal({
          id,
          properties: state,
          inputs,
          reasons: ["unfinished: SqlModule is running; up finishes it [unfinished]"],
        });
        expect(await next.diff(held)).to.deep.equal({ changes: "some", paths: { ledgerId: "update" } });
        expect((await next.update(held)).state).to.deep.equal(state);
        expect(await next.diff(held)).to.deep.equal({ changes: "none", paths: {} });
      });
    }));

  it("16-6 applies anew what was undone before the state was saved, after a backup of what has been written since", () =>
    withWalkOn(walkModules, async (walk, { ledger, backup, modules }, db) => {
      const { ledgerId } = ledger.state as { ledgerId: string };
      const held = modules.at(-1)!;
      await walk.remove(held);
      expect(await walk.diff(held)).to.deep.equal({ changes: "some", paths: { ledgerId: "update, output" } });
      expect(await outcome(walk.update(held))).to.match(
        /^no backup was taken for this change of 004_enhanced_consent; nothing was changed/,
      );
      // A plain up takes one: nothing is targeted around.
      expect(await walk.diff(backup)).to.deep.include({ changes: "some" });
      await walk.change(backup, walk.backupArgs(ledgerId));
      const again = await walk.update(held);
      // An update brings Pulumi no other id: the ledger has the one that the state holds.
      expect((await walk.read(held)).id).to.equal(held.id);
      await withWalk({ database: db.migrator }, async (next) => {
        expect(await next.diff(again)).to.deep.equal({ changes: "none", paths: {} });
        // A replacement has one of its own all the same, and what is left over of the first is told apart.
        const module = "004_enhanced_consent";
        const newer = await next.create("SqlModule", module, { module, ledgerId });
        expect(newer.id).to.equal(`${held.id}~1.1`);
        await next.remove(again);
        expect(await next.diff(newer)).to.deep.equal({ changes: "none", paths: {} });
      });
    }));

  it("refuses to import, and to read what no ledger knows", () =>
    withWalkOn(["000_audit_log"], async (walk, { modules }) => {
      const imported = await outcome(walk.read({ ...modules[0]!, state: {}, inputs: {} }));
      expect(imported).to.match(/^resources of this package cannot be imported: the ledger says what is there/);
      const stranger = { ...modules[0]!, urn: walk.urn("SqlModule", "stranger"), id: "stranger" };
      expect(await outcome(walk.read(stranger))).to.match(
        /^the ledger in this database knows nothing of this resource/,
      );
    }));
});
