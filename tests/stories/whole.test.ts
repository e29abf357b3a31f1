import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { quickFingerprint } from "../../engine/fingerprint/take";
import { runV6Script } from "../../engine/fingerprint/v6-script";
import { expectNoMarks, plantMarks, quoteRows } from "../support/marked";
import { count } from "../support/modules";
import { beyondSchema, differences, existing, story, total, type Story } from "../support/story";

describe("the whole migration", function () {
  this.timeout(600_000);

  it("previews without writing, migrates, changes nothing the second time, and rolls back without a trace; no password and no row's value is in output, state, files or ledger", function () {
    return story(async (it) => {
      const { stack, client, db } = it;
      const admin = await db.connect("admin");
      await plantMarks(admin, stack);
      const quick = await quickFingerprint(client);
      const file = join(stack.folder, "plan.json");
      const preview = await stack.preview({ flags: ["--json", "--save-plan", file] });
      expect(differences(quick, await quickFingerprint(client)), "preview wrote").to.deep.equal([]);
      const offered = await count(client, existing);
      const leftOut = {
        deleted: await count(client, "auth.users WHERE deleted_at IS NOT NULL"),
        "without a time of creation": await count(client, "auth.users WHERE created_at IS NULL"),
        "not older than a day": await count(client, "auth.users WHERE created_at >= now() - interval '1 day'"),
      };
      expect(plannedRows(preview.output)["consents"]).to.deep.equal([
        {
          ...{ action: "insert", relation: "public.patient_consents", rows: offered, of: offered },
          leftOut,
        },
      ]);
      // The plan binds what is declared, and not how many rows there were when it was made.
      await client.query(
        "INSERT INTO auth.users (id, email, created_at) VALUES (gen_random_uuid(), $1, now() - interval '2 days')",
        ["later@example.org"],
      );
      const before = await it.fingerprint();
      const up = await stack.up({ flags: ["--plan", file] });
      expect(await count(client, "public.patient_consents")).to.equal(offered + 1);
      expect(up.changes).to.deep.equal(preview.changes);
      expect(Object.keys(up.changes)).to.deep.equal(["create"]);
      await isUp(it);
      expect((await stack.up()).changes).to.deep.equal({ same: up.changes["create"] });
      expect((await stack.refresh()).changes).to.deep.equal({ same: up.changes["create"] });

      stack.set({ through: "schema" });
      const dumps = (): number => readdirSync(join(stack.folder, "backups")).length;
      expect(dumps(), "17-6: one backup serves all that one up changes, and an up that changes nothing").to.equal(1);
      const lowered = await stack.up();
      expect(lowered.changes["delete"]).to.equal(beyondSchema);
      const moved = `data migration consents has rows in this database and is not among the stack's: taking it out removes ${offered + 1} rows`;
      expect(lowered.output.replaceAll("\n", " ")).to.contain(moved);
      expect(dumps(), "17-4: the way back dumps too, and waits for no proof").to.equal(2);
      expect(lowered.output).to.match(/Backup backup updated .*in \S+; not proven: nobody has restored it/);
      expect(await count(client, "public.patient_consents")).to.equal(0);
      expect(await sessionStatus(it)).to.equal("in_progress");

      // What quotes rows itself, an error in the middle, is backup-failures.test.ts's and module/secrets.test.ts's too.
      const putBack = await quoteRows(admin);
      stack.set({ through: "deployment" });
      const failed = await stack.up({ expectFailure: true });
      // A view takes no row trigger (42809), which is said before any row is read; what reads one withholds it.
      expect(failed.output).to.match(/withheld \(SQLSTATE P0001\)|\(SQLSTATE 42809\)/);
      await putBack();
      await expectNoMarks(stack, client, db);
      await stack.destroy();
      expect(differences(before, await it.fingerprint()), "left behind").to.deep.equal([]);
      expect((await runV6Script(client)).passed).to.equal(true);
    });
  });
});

/** Of each resource in `preview --json`, the rows that its plan speaks of. */
function plannedRows(json: string): Record<string, object[]> {
  const { diagnostics } = JSON.parse(json) as { diagnostics: { urn?: string; message: string }[] };
  const plans = diagnostics.flatMap(({ urn = "", message }) => {
    const found = /^\{"plan":.*\}$/m.exec(message)?.[0];
    const { plan } = found ? (JSON.parse(found) as { plan: { rows: object[] } }) : {};
    return plan ? [[urn.split("::").at(-1)!, plan.rows] as const] : [];
  });
  return Object.fromEntries(plans);
}

async function sessionStatus({ client }: Story): Promise<string | undefined> {
  const { rows } = await client.query<{ status: string }>(
    "SELECT status FROM public.migration_sessions ORDER BY created_at DESC LIMIT 1",
  );
  return rows[0]?.status;
}

async function isUp(it: Story): Promise<void> {
  const { client } = it;
  expect(await count(client, "public.patient_consents")).to.equal(await count(client, existing));
  expect(await count(client, "public.user_preferences")).to.equal(await count(client, "auth.users"));
  expect(await count(client, "public.feature_flags WHERE NOT enabled"), "but the one that has a list").to.equal(11);
  expect(await sessionStatus(it)).to.equal("completed");
  const { rows } = await client.query(
    "SELECT total_steps, completed_steps, records_failed, error_summary FROM public.migration_sessions",
  );
  expect(rows).to.deep.equal([{ total_steps: total, completed_steps: total, records_failed: "0", error_summary: [] }]);
  expect((await runV6Script(client)).passed).to.equal(true);
}
