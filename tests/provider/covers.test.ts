import { expect } from "chai";
import { withV6 } from "../support/postgres";
import { withWalk, type Held, type Walk } from "../support/walk";
import { unknownMark, type Wire } from "../support/wire";

describe("provider: what a backup covers", () => {
  const both = ["000_audit_log", "001_feature_flags"];
  const [one] = both as [string];

  const backupOf = (walk: Walk, ledgerId: Wire, modules: readonly string[]): Record<string, Wire> => ({
    ...walk.backupArgs(ledgerId, modules),
    migrations: [],
  });
  /** An update of the backup to other modules. */
  const update = (walk: Walk, held: Held, modules: readonly string[], preview = false): Promise<Held> =>
    walk.change(held, backupOf(walk, held.inputs["ledgerId"]!, modules), { preview });

  it("18-6 is new with everything that is added or changed, another one even for the same, and stays on the way back, as preview knows", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const ledger = await walk.create("Ledger", "ledger", { purge: false });
        const ledgerId = ledger.state["ledgerId"]!;
        const args = (modules: readonly string[]) => backupOf(walk, ledgerId, modules);
        const planned = await walk.create("Backup", "backup", args(both), { preview: true });
        expect(planned.state["covers"]).to.equal(unknownMark);

        const first = await walk.create("Backup", "backup", args(both));
        const text = (held: Held, key: string): string => held.state[key] as string;
        const covered = (held: Held): string => text(held, "covers");
        expect(covered(first)).to.match(/^[0-9a-f]{12}-\d{14}$/);
        expect(covered(first).slice(13)).to.equal(text(first, "takenAt").replace(/\D/g, "").slice(0, 14));
        const modules: Held[] = [];
        for (const module of both) modules.push(await walk.create("SqlModule", module, { module, ledgerId }));

        const backPlanned = await update(walk, first, [one], true);
        expect(backPlanned.state["covers"]).to.equal(covered(first));
        expect(backPlanned.state["path"]).to.equal(unknownMark);
        const back = await update(walk, first, [one]);
        expect(back.state["path"]).not.to.equal(first.state["path"]);
        expect(covered(back)).to.equal(covered(first));

        await walk.remove(modules[1]!);

        const raisedPlanned = await update(walk, back, both, true);
        expect(raisedPlanned.state["covers"]).to.equal(unknownMark);
        const raised = await update(walk, back, both);
        expect(covered(raised).slice(0, 12)).to.equal(covered(first).slice(0, 12));
        expect(covered(raised)).not.to.equal(covered(first));

        // A state of before it was known.
        const { covers, ...older } = raised.state;
        expect(covers).not.to.equal(undefined);
        expect(await walk.diff({ ...raised, state: older })).to.deep.equal({
          changes: "some",
          paths: { covers: "update, output" },
        });
        expect((await walk.read(raised)).state["covers"]).to.equal(covers);
      }),
    ));
});
