import { expect } from "chai";
import type { Client } from "pg";
import { long } from "../support/long";
import { story } from "../support/story";

const exists = async (client: Client, table: string): Promise<boolean> =>
  (await client.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [table])).rows[0]!.there;

const steps = async (client: Client): Promise<string[]> => {
  const { rows } = await client.query<{ line: string }>(
    "SELECT step_name || ' ' || status AS line FROM public.migration_session_steps WHERE kind = 'Gate' ORDER BY 1",
  );
  return rows.map(({ line }) => line);
};

const status = async (client: Client): Promise<string> =>
  (await client.query<{ status: string }>("SELECT status FROM public.migration_sessions")).rows[0]!.status;

describe("the gates of a stack", function () {
  this.timeout(600_000);

  // provider/gates.test.ts has the same over gRPC.
  long(
    "19-1 stop up before the next stage, let pass what is accepted by name until it is worse, and stop nothing on the way back",
    () =>
      story(
        async ({ stack, client, db }) => {
          const admin = await db.connect("admin");
          const guard = (how: string) => admin.query(`ALTER TABLE public.patient_vitals ${how} ROW LEVEL SECURITY`);
          await guard("DISABLE");
          const stopped = await stack.up({ expectFailure: true });
          expect(stopped.output).to.contain("public.patient_vitals lacks row security").and.contain("[gate-failed]");
          expect(stopped.output).to.contain(
            `pulumi config set --path 'guardian:accept["v6"]' 'why' --stack dev, then up`,
          );
          expect(await exists(client, "public.audit_log"), "a module was applied").to.equal(false);

          stack.set({ accept: JSON.stringify({ v6: "the vitals are moved to another table tomorrow" }) });
          expect((await stack.preview({ flags: ["--diff"] })).output).to.match(
            /accept +: \{\s+v6: "the vitals are moved/,
          );
          const up = await stack.up();
          expect(up.output).to.contain('v6 failed, and is accepted: "the vitals are moved to another table tomorrow"');
          expect(await steps(client)).to.deep.equal(["gate-before done", "gate-schema done"]);
          // Worse than it was accepted: void, where more is to come.
          await admin.query("ALTER TABLE public.patient_allergies DISABLE ROW LEVEL SECURITY");
          stack.set({ through: "data" });
          const worse = (await stack.up({ expectFailure: true })).output;
          expect(worse).to.match(/gate before: 1 of \d+ checks did not pass \(v6\)/);
          expect(worse).to.match(/is worse since:\n +public.patient_allergies lacks row security/);
          expect((await client.query("SELECT 1 FROM public.patient_consents")).rows, "the data stage").to.deep.equal(
            [],
          );
          expect(await status(client)).to.equal("failed");

          stack.set({ through: "infrastructure" });
          const lowered = await stack.up();
          expect(lowered.output).not.to.contain("[gate-failed]");
          expect(await exists(client, "public.patient_consents")).to.equal(false);
          expect(await status(client)).to.equal("in_progress");
        },
        { users: 30, stack: { config: { through: "schema" } } },
      ),
  );
});
