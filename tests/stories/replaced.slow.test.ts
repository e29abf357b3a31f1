import { expect } from "chai";
import { afterUp } from "../support/migrated";
import { count } from "../support/modules";
import { differences, total, type Story } from "../support/story";

/** What no replacement may touch. */
async function standing({ client }: Story): Promise<unknown> {
  const { rows } = await client.query<{ percent: number; functions: number }>(
    `SELECT rollout_percentage AS percent, (SELECT count(*)::int FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS functions
     FROM public.feature_flags WHERE feature_name = 'enhanced_consent'`,
  );
  const tables = ["public.patient_consents", "public.user_preferences"].map((table) => count(client, table));
  return { ...rows[0], rows: await Promise.all(tables) };
}

const urnOf = ({ stack }: Story, name: string): string =>
  stack.resources().find((one) => one.urn.endsWith(`::${name}`))!.urn;

describe("Pulumi's other verbs", function () {
  this.timeout(600_000);

  // provider/replaced.test.ts has the same over gRPC.
  it("16-1: --replace and taint delete nothing; a state from before is refused until it is refreshed; with guardian:purge nothing is left", () =>
    afterUp(async (it) => {
      const { stack } = it;
      stack.set({ rollout: JSON.stringify({ enhanced_consent: 100 }) });
      await stack.up();
      const before = await standing(it);
      expect(before).to.deep.include({ percent: 100 });
      let old = "";
      stack.edit((state) => (old = state));

      // One of each kind that holds rows, a flag or a module.
      const flags = ["preferences", "enhanced_consent", "009_operations"].flatMap((name) => [
        "--replace",
        urnOf(it, name),
      ]);
      const { output, changes } = await stack.up({ flags });
      expect(changes).to.deep.include({ "create-replacement": 3, "delete-replaced": 3 });
      expect(output).to.contain("preferences was replaced by what was there already and stands");
      expect(await standing(it), "--replace").to.deep.equal(before);

      await stack.must(["state", "taint", urnOf(it, "004_enhanced_consent"), "--yes"]);
      expect((await stack.preview()).output).to.contain("if this is a replacement, nothing is deleted");
      await stack.up();
      expect(await standing(it), "taint").to.deep.equal(before);

      // The state of the day before is imported.
      stack.edit(() => old);
      for (const verb of [stack.destroy, stack.up])
        expect((await verb({ expectFailure: true })).output).to.contain("[state-outdated]");
      expect(await standing(it), "old state").to.deep.equal(before);
      await stack.refresh();
      // Made again: what the refused destroy had got to, and no more.
      expect((await stack.up()).changes).to.have.keys("same", "create");
      expect(await standing(it), "refreshed").to.deep.equal(before);

      // With guardian:purge archive and ledger go too.
      stack.set({ purge: "true" });
      expect((await stack.up()).changes).to.deep.equal({ update: 1, same: total - 1 });
      await stack.destroy();
      expect(differences(it.before, await it.fingerprint([]))).to.deep.equal([]);
    }));
});
