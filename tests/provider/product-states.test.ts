import { expect } from "chai";
import * as calls from "../support/calls";
import { withV6 } from "../support/postgres";
import { walkModules, withMade, withWalk, withWalkOn, type Held } from "../support/walk";
import { plain } from "../support/wire";
import { changed } from "./gated";

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
        const { urn, id, inputs } = held;
        const state = elsewhere(held.state);
        const change = { id, olds: state, oldInputs: inputs, news: inputs };
        const { client, fail } = walk.plugin;
        const failures = [
          await fail(client.diff, calls.diff(urn, change)),
          await fail(client.read, calls.read(urn, id, state, inputs)),
          await fail(client.update, calls.update(urn, change, { preview: true })),
          await fail(client.update, calls.update(urn, change)),
          await fail(client.delete, calls.remove(urn, id, state, inputs)),
        ];
        for (const { message } of failures) {
          expect(message).to.match(
            /^this stack's state belongs to another database; nothing was changed here \[state-of-another-database\]\n/,
          );
        }
        expect(await walk.diff(held)).to.deep.equal({ changes: "none", paths: {} });
      }
    }));

  it("reads what was rolled back as gone, and deletes it a second time without a word", () =>
    withWalkOn(["000_audit_log"], async (walk, { modules }) => {
      const { urn, id, state, inputs } = modules[0]!;
      const { client, call } = walk.plugin;
      await call(client.delete, calls.remove(urn, id, state, inputs));
      await call(client.delete, calls.remove(urn, id, state, inputs));
      const read = await call(client.read, calls.read(urn, id, state, inputs));
      expect([read.getId(), read.hasProperties()]).to.deep.equal(["", false]);
      // A state that still has it: up makes it again.
      expect(await walk.diff(modules[0]!)).to.deep.equal({ changes: "some", paths: { ledgerId: "update, output" } });
    }));

  it("deletes a ledger that it has purged a second time without a word, and none of another database", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const { urn, id, state, inputs } = await walk.create("Ledger", "ledger", { purge: true });
        const { client, call, fail } = walk.plugin;
        await call(client.delete, calls.remove(urn, id, state, inputs));
        await call(client.delete, calls.remove(urn, id, state, inputs));
        const other = calls.remove(urn, id, elsewhere(state), inputs);
        expect((await fail(client.delete, other)).message).to.contain("[state-of-another-database]");
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
        const change = { id, olds: state, oldInputs: inputs, news: inputs };
        const updated = await next.plugin.call(provider.update, calls.update(urn, change));
        expect(plain(updated.getProperties())).to.deep.equal(state);
        expect(await next.diff(held)).to.deep.equal({ changes: "none", paths: {} });
      });
    }));

  it("16-6 applies anew what was undone before the state was saved, after a backup of what has been written since", () =>
    withWalkOn(walkModules, async (walk, { ledger, backup, modules }) => {
      const { ledgerId } = ledger.state as { ledgerId: string };
      const held = modules.at(-1)!;
      const { client, call, fail } = walk.plugin;
      await walk.remove(held);
      expect(await walk.diff(held)).to.deep.equal({ changes: "some", paths: { ledgerId: "update, output" } });
      const change = { id: held.id, olds: held.state, oldInputs: held.inputs, news: held.inputs };
      const refused = await fail(client.update, calls.update(held.urn, change));
      expect(refused.message).to.match(
        /^no backup was taken for this change of 004_enhanced_consent; nothing was changed/,
      );
      // A plain up takes one: nothing is targeted around.
      expect(await walk.diff(backup)).to.deep.include({ changes: "some" });
      await changed(walk, backup, "Backup", walk.backupArgs(ledgerId));
      await call(client.update, calls.update(held.urn, change));
      // A new beginning has an id of its own, which a refresh brings.
      const read = await call(client.read, calls.read(held.urn, held.id, held.state, held.inputs));
      expect(read.getId()).to.equal(`${held.id}~1.0`);
    }));

  it("refuses to import, and to read what no ledger knows", () =>
    withWalkOn(["000_audit_log"], async (walk, { modules }) => {
      const { id, state, inputs } = modules[0]!;
      const { client, fail } = walk.plugin;
      const imported = await fail(client.read, calls.read(modules[0]!.urn, id, {}, {}));
      expect(imported.message).to.match(/^resources of this package cannot be imported: the ledger says what is there/);
      const stranger = await fail(
        client.read,
        calls.read(walk.urn("SqlModule", "stranger"), "stranger", state, inputs),
      );
      expect(stranger.message).to.match(/^the ledger in this database knows nothing of this resource/);
    }));
});
