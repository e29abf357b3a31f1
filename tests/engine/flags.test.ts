import { expect } from "chai";
import { leavingFlags } from "../../engine/flag-leaving";
import { readFlags, sameFlag, type FlagValues } from "../../engine/flags";
import { readSteps } from "../../engine/ledger/steps";
import { leavingFlagsText } from "../../resources/sentences";
import { asRole } from "../support/postgres";
import { byHand, flag, on, other, user, withFlags, writeWaits } from "./flags";
import { endWriters, refusalOf } from "./module/harness";

describe("feature flags", function () {
  this.timeout(60_000);

  it("are compared without the order of users, and with all else", () => {
    const a: FlagValues = {
      enabled: true,
      rolloutPercentage: 1,
      enabledForUsers: [user, other],
      configuration: { a: 1, b: { c: [1, 2] } },
    };
    expect(sameFlag(a, { ...a, enabledForUsers: [other, user], configuration: { b: { c: [1, 2] }, a: 1 } })).to.equal(
      true,
    );
    for (const b of [
      { ...a, enabled: false },
      { ...a, rolloutPercentage: 2 },
      { ...a, enabledForUsers: [user] },
      { ...a, configuration: { a: 1, b: { c: [2, 1] } } },
    ])
      expect(sameFlag(a, b)).to.equal(false);
  });

  it("are written, written again, and reset to what the module delivers", () =>
    withFlags(async ({ engine, write, reset, live, seed }) => {
      await write(on);
      expect(await live()).to.deep.equal({ ...seed, ...on });
      await write({ ...on, rolloutPercentage: 50, configuration: { supported_resources: [] } });
      expect(await live()).to.deep.equal({
        ...seed,
        ...on,
        rolloutPercentage: 50,
        configuration: { supported_resources: [] },
      });
      await reset();
      expect(await live()).to.deep.equal(seed);
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "undone" });
      await reset();
      await write(on);
      expect(await live()).to.deep.equal({ ...seed, ...on });
    }));

  it("changed by hand they are not overwritten unseen: who and when is told; after a refresh they are", () =>
    withFlags(async ({ engine, db, write, live }) => {
      await write(on);
      const admin = await db.connect("admin");
      await asRole(admin, "service_role", user, (c) =>
        c.query("SELECT public.enable_feature_for_user($1, $2)", [flag, "33333333-3333-4333-8333-333333333333"]),
      );
      const said = await refusalOf(write({ ...on, rolloutPercentage: 50 }, on));
      expect(said.what).to.equal(
        "the flag was changed outside this stack since it last wrote it; it is not overwritten unseen",
      );
      expect(said.where).to.match(
        /^flag fhir_integration, changed by service_role 11111111-1111-4111-8111-111111111111 at \d{4}-\d\d-\d\d /,
      );
      expect(said.message).not.to.contain("33333333");
      // Refused once more: the refusal itself does not make the ledger forget what was last written.
      await refusalOf(write({ ...on, rolloutPercentage: 50 }, on));
      expect((await live()).rolloutPercentage).to.equal(10);
      const seen = await live();
      await write({ ...on, rolloutPercentage: 50 }, seen);
      expect((await live()).rolloutPercentage).to.equal(50);
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "done" });
    }));

  it("16-16 are named once they leave the stack, also to an auditor, who may not ask what module 001 delivers", () =>
    withFlags(async ({ engine, client, seed, write }) => {
      await write(on);
      const now = (await engine.host.read(readFlags)).get(flag)!;
      const found = async () => engine.host.read(async (db) => leavingFlags(db, await readSteps(db), []));
      expect(await found()).to.deep.equal([{ flag, now, made: false, then: seed }]);
      await client.query("REVOKE EXECUTE ON FUNCTION public.feature_flag_seed() FROM guardian_migrator");
      expect(await found()).to.deep.equal([{ flag, now, made: false, then: undefined }]);
      expect(leavingFlagsText(await found())).to.contain(": fhir_integration (on for 10 % and 2 named accounts). If");
    }));

  it("set by hand to what the program says, or back to what the stack last wrote, they are as they should be", () =>
    withFlags(async ({ client, write, live }) => {
      await write(on);
      await client.query(byHand);
      await write({ ...on, rolloutPercentage: 77 });
      await client.query(byHand.replace("77", "5"));
      await refusalOf(write({ ...on, rolloutPercentage: 60 }));
      await client.query(byHand);
      // What the ledger knows is enough, though the state does not.
      await write({ ...on, rolloutPercentage: 60 });
      expect((await live()).rolloutPercentage).to.equal(60);
    }));

  it("are first taken over from what the module delivers, and from nothing else", () =>
    withFlags(async ({ client, write, engine }) => {
      await client.query(byHand);
      expect((await refusalOf(write(on))).where).to.match(/changed by guardian_migrator at/);
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "planned" });
      await client.query(byHand.replace("77", "0"));
      await write(on);
    }));

  it("a reset takes back whatever is there: flag values belong to the stack", () =>
    withFlags(async ({ client, write, reset, live, seed }) => {
      await write(on);
      await client.query(byHand);
      await reset();
      expect(await live()).to.deep.equal(seed);
    }));

  it("killed before its commit a write has not happened, and the ledger knows what was last written", () =>
    withFlags(async ({ engine, db, write, live }) => {
      const [admin, holder] = [await db.connect("admin"), await db.connect()];
      await write(on);
      await holder.query("BEGIN; SELECT FROM public.feature_flags FOR UPDATE");
      const failed = refusalOf(write({ ...on, rolloutPercentage: 50 }));
      await writeWaits(admin);
      expect(await endWriters(admin)).to.equal(1);
      expect((await failed).what).to.match(/^the connection to the database was lost/);
      await holder.query("COMMIT");
      expect(await engine.states("FeatureFlag", flag)).to.deep.equal({ "": "running" });
      expect((await live()).rolloutPercentage).to.equal(10);
      await write({ ...on, rolloutPercentage: 50 });
      expect((await live()).rolloutPercentage).to.equal(50);
    }));

  it("whose row somebody deleted, or that no module delivers, are refused with the mend", () =>
    withFlags(async ({ engine, client, write }) => {
      await client.query("DELETE FROM public.feature_flags WHERE feature_name = 'fhir_integration'");
      const said = await refusalOf(write(on));
      expect(said.what).to.equal("the flag's row is gone; somebody deleted it by hand");
      await client.query(`INSERT INTO public.feature_flags (feature_name, enabled, rollout_percentage, enabled_for_users, configuration, description)
            SELECT * FROM public.feature_flag_seed() WHERE feature_name = 'fhir_integration'`);
      await write(on);
      expect(await engine.host.read(readFlags)).to.have.property("size", 12);
    }));
});
