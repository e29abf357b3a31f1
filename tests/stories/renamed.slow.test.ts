import { expect } from "chai";
import { afterUp } from "../support/migrated";
import { withStack } from "../support/stack";
import { differences, total } from "../support/story";

describe("pulumi stack rename", function () {
  this.timeout(600_000);

  it("16-2: says what it is, and one setting takes the new name over", () =>
    afterUp(async (it) => {
      const { stack, db, client } = it;
      await stack.must(["stack", "rename", "prod"]);
      await withStack({ database: db.migrator, name: "prod", folder: stack.folder }, async (prod) => {
        const { output } = await prod.up({ expectFailure: true });
        expect(output).to.contain("the ledger has this migration under the stack dev, and this is prod");
        const { rows } = await client.query<{ id: string }>("SELECT id FROM guardian_migration.ledger");
        expect(output).to.contain(`pulumi config set guardian:adopt ${rows[0]!.id} --stack prod, then up`);
        prod.set({ adopt: rows[0]!.id });
        // The ledger's name, and what the session calls its environment.
        const only = { update: 2, same: total - 2 };
        expect((await prod.preview()).changes).to.deep.equal(only);
        expect((await prod.up()).changes).to.deep.equal(only);
        await prod.destroy();
        expect(differences(it.before, await it.fingerprint())).to.deep.equal([]);
      });
    }));
});
