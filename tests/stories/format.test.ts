import { expect } from "chai";
import { moduleNames } from "../../engine/module/files/manifest";
import { quickFingerprint } from "../../engine/fingerprint/take";
import { formatOf, toFormat1 } from "../support/format-1";
import { long } from "../support/long";
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

  long(
    "is previewed with what the ledger notes more as the only change, raised by up, and rolled back with or without",
    function () {
      return afterUp(async ({ stack, client, before, fingerprint }) => {
        await toFormat1(client);
        forgetFormat(stack);
        const quick = await quickFingerprint(client);

        const preview = await stack.preview();
        // The ledger, and each module: of its objects the release before looked at less.
        const changes = { update: 1 + moduleNames().length, same: total - 1 - moduleNames().length };
        expect(preview.changes).to.deep.equal(changes);
        expect(preview.output)
          .to.match(/ledger +update/)
          .and.include("the ledger's format goes from 1 to 3")
          .and.match(/the ledger records of \d+ objects what an older release did not look at/)
          .and.not.include("drift:");
        expect((await stack.refresh()).ok).to.equal(true);
        expect((await stack.preview()).changes).to.deep.equal(changes);
        expect(differences(quick, await quickFingerprint(client)), "something was written").to.deep.equal([]);
        expect(await formatOf(client)).to.equal(1);

        expect((await stack.up()).changes).to.deep.equal(changes);
        expect(await formatOf(client)).to.equal(3);
        expect((await stack.up()).changes).to.deep.equal({ same: total });

        await toFormat1(client);
        await stack.destroy();
        expect(differences(before, await fingerprint()), "left behind").to.deep.equal([]);
      });
    },
  );
});
