import { expect } from "chai";
import { quickFingerprint } from "../../engine/fingerprint/take";
import { formatOf, toFormat1 } from "../support/format-1";
import { afterUp } from "../support/migrated";
import { differences, total } from "../support/story";
import type { TestStack } from "../support/stack";

/** Makes of the stack's state what a release wrote that knew nothing of formats. */
function forgetFormat({ edit }: TestStack): void {
  edit((text) => {
    const state = JSON.parse(text) as {
      checkpoint: { latest: { resources: { type: string; outputs?: Record<string, unknown> }[] } };
    };
    const ledger = state.checkpoint.latest.resources.find(({ type }) => type.endsWith(":Ledger"));
    expect(ledger?.outputs).to.have.property("format");
    delete ledger?.outputs?.["format"];
    return JSON.stringify(state);
  });
}

describe("a migration that the release before brought up", function () {
  this.timeout(600_000);

  it("is previewed with its ledger's format as the only change, raised by up, and rolled back with or without", function () {
    return afterUp(async ({ stack, client, before, fingerprint }) => {
      await toFormat1(client);
      forgetFormat(stack);
      const quick = await quickFingerprint(client);

      const preview = await stack.preview();
      expect(preview.changes).to.deep.equal({ update: 1, same: total - 1 });
      expect(preview.output)
        .to.match(/ledger +update/)
        .and.include("the ledger's format goes from 1 to 3");
      expect((await stack.refresh()).ok).to.equal(true);
      expect((await stack.preview()).changes).to.deep.equal({ update: 1, same: total - 1 });
      expect(differences(quick, await quickFingerprint(client)), "something was written").to.deep.equal([]);
      expect(await formatOf(client)).to.equal(1);

      expect((await stack.up()).changes).to.deep.equal({ update: 1, same: total - 1 });
      expect(await formatOf(client)).to.equal(3);
      expect((await stack.up()).changes).to.deep.equal({ same: total });

      await toFormat1(client);
      await stack.destroy();
      expect(differences(before, await fingerprint()), "left behind").to.deep.equal([]);
    });
  });
});
