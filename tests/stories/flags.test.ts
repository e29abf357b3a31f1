import { expect } from "chai";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { long } from "../support/long";
import { afterUp } from "../support/migrated";
import { count } from "../support/modules";
import { total, type Story } from "../support/story";

const flag = "fhir_integration";

async function live({ client }: Story): Promise<unknown> {
  const { rows } = await client.query(
    `SELECT enabled, rollout_percentage AS percent FROM public.feature_flags WHERE feature_name = '${flag}'`,
  );
  return rows[0];
}

describe("feature flags belong to the stack", function () {
  this.timeout(600_000);

  long(
    "a rollout is an update, a declared flag (16-14) comes and goes; a change by hand is refused, shown by refresh, and then set to what the program says",
    function () {
      return afterUp(async (it) => {
        const { stack, client } = it;
        stack.set({ rollout: JSON.stringify({ [flag]: 10 }) });
        // The flag, and the gate at the end.
        expect((await stack.up()).changes).to.deep.equal({ same: total - 2, update: 2 });
        expect(await live(it)).to.deep.equal({ enabled: true, percent: 10 });
        // Nothing of it is an input of the gate, which is asked again all the same: a saved plan knows.
        stack.set({ allowList: JSON.stringify({ [flag]: ["00000000-0000-4000-8000-000000000001"] }) });
        const file = join(stack.folder, "plan.json");
        expect((await stack.preview({ flags: ["--save-plan", file] })).changes).to.include({ update: 2 });
        expect((await stack.up({ flags: ["--plan", file] })).changes).to.deep.equal({ same: total - 2, update: 2 });
        stack.set({ allowList: "{}" });
        await stack.up();

        // 16-14: one that no module delivers, added to the applied stack; the session's row counts one step more.
        stack.set({ flags: JSON.stringify({ telehealth: { description: "Visits by video" } }) });
        stack.set({ rollout: JSON.stringify({ [flag]: 10, telehealth: 5 }) });
        expect((await stack.preview()).output).to.contain("will write 1 row into public.feature_flags");
        expect((await stack.up()).changes).to.deep.equal({ same: total - 2, update: 2, create: 1 });
        const declared =
          "public.feature_flags WHERE feature_name = 'telehealth' AND enabled AND rollout_percentage = 5";
        expect(await count(client, declared)).to.equal(1);
        stack.set({ flags: "{}" });
        expect((await stack.up({ expectFailure: true })).output).to.contain("guardian:rollout.telehealth is not known");
        stack.set({ rollout: JSON.stringify({ [flag]: 10 }) });
        expect((await stack.up()).changes).to.deep.equal({ same: total - 2, update: 2, delete: 1 });
        expect(await count(client, "public.feature_flags")).to.equal(12);

        await client.query(`UPDATE public.feature_flags SET rollout_percentage = 77 WHERE feature_name = '${flag}'`);
        const { output } = await stack.up({ expectFailure: true });
        expect(output).to.match(/drift: flag fhir_integration is not what this stack wrote; changed by \w+ .*at 20/);
        expect(output).to.contain("the flag was changed outside this stack since it last wrote it");
        expect(await live(it)).to.deep.equal({ enabled: true, percent: 77 });

        expect((await stack.refresh()).changes).to.deep.equal({ same: total - 1, update: 1 });
        expect((await stack.up()).changes).to.deep.equal({ same: total - 2, update: 2 });
        expect(await live(it)).to.deep.equal({ enabled: true, percent: 10 });
        expect(readdirSync(join(stack.folder, "backups")), "17-6: flags take no dump").to.have.length(1);
      });
    },
  );

  long(
    "after an emergency rollback neither up nor refresh switches anything on: only an acknowledgement does",
    function () {
      return afterUp(async (it) => {
        const { stack, client } = it;
        stack.set({ rollout: JSON.stringify({ [flag]: 10 }) });
        await stack.up();
        const off = { enabled: false, percent: 0 };
        const rollBack = async (): Promise<string> => {
          await client.query("UPDATE public.feature_flags SET enabled = false, rollout_percentage = 0");
          const { rows } = await client.query<{ id: string }>(
            "INSERT INTO public.migration_sessions (migration_type, status) VALUES ('v7_to_v6_rollback', 'emergency_rollback') RETURNING id",
          );
          return rows[0]!.id;
        };
        // 16-4: one step back, whether or not a refresh has seen it; the id need not stay in the file.
        for (const verbs of [["up"], ["refresh", "up"]] as const) {
          const id = await rollBack();
          for (const verb of verbs) {
            const { output } = await stack[verb]({ expectFailure: verb === "up" });
            if (verb === "up")
              expect(output).to.contain(`pulumi config set guardian:acknowledge ${id} --stack dev, then up`);
            expect(await live(it)).to.deep.equal(off);
          }
          stack.set({ acknowledge: id });
          await stack.up();
          expect(await live(it)).to.deep.equal({ enabled: true, percent: 10 });
          stack.set({ acknowledge: "" });
        }
        // The way back asks for no acknowledgement.
        await rollBack();
        await stack.destroy();
      });
    },
  );
});
