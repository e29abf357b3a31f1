import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { long } from "../support/long";
import { count } from "../support/modules";
import { story } from "../support/story";

const flag = "fhir_integration";

/** An endpoint of the application that answers as it is told. */
async function withEndpoint(work: (url: string, answers: { status: number }) => Promise<void>): Promise<void> {
  const answers = { status: 200 };
  const server = createServer((_request, response) => void response.writeHead(answers.status).end());
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/health`, answers);
  } finally {
    server.close();
  }
}

/** What the ledger has of what comes after a gate: the kinds of which something was ever tried, and who has the flag. */
async function reached(client: Client): Promise<string> {
  const { rows } = await client.query<{ line: string }>(
    `SELECT concat_ws('; ', (SELECT string_agg(DISTINCT name, ' ' ORDER BY name) FROM (
         SELECT CASE WHEN kind = 'Gate' THEN split_part(urn, '::', 4) ELSE kind END AS name FROM guardian_migration.step
         WHERE kind IN ('Gate', 'DataMigration', 'FeatureFlag', 'SessionCompletion')) k),
       (SELECT feature_name || ' ' || rollout_percentage FROM public.feature_flags WHERE enabled),
       (SELECT status FROM public.migration_sessions)) AS line`,
  );
  return rows[0]?.line ?? "";
}

/** What the session says of each gate. */
async function steps(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    "SELECT step_name || ' ' || status AS line FROM public.migration_session_steps WHERE kind = 'Gate' ORDER BY 1",
  );
  return rows.map(({ line }) => line);
}

describe("a gate that fails in a real up", function () {
  this.timeout(600_000);

  // provider/gates.test.ts has the same over gRPC.
  long(
    "19-1 of each stage: its error says what and how to go on, nothing after it has run, not by --target either; mended, accepted (until it is worse) or rolled back it goes on, and the way back stops at none",
    () =>
      withEndpoint((url, answers) =>
        story(
          async ({ stack, client, db }) => {
            const admin = await db.connect("admin");
            stack.set({
              backup: JSON.stringify({ directory: join(stack.folder, "backups"), jobs: 1 }),
              endpoints: JSON.stringify([{ url }]),
              rollout: JSON.stringify({ [flag]: 10 }),
            });
            const stops = async (...flags: string[]): Promise<string> =>
              (await stack.up({ expectFailure: true, flags })).output;
            const urnOf = (type: string, name: string): string =>
              `urn:pulumi:dev::guardian::guardian:stage:${type}::${name}`;
            const consents = urnOf("Data$guardian-migration:index:DataMigration", "consents");

            stack.set({ through: "schema" });
            await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
            expect(await stops())
              .to.contain("public.patient_vitals lacks row security")
              .and.contain(`pulumi config set --path 'guardian:accept["v6"]' 'why' --stack dev, then up`);
            expect(await count(client, "pg_tables WHERE tablename = 'audit_log'"), "a module was applied").to.equal(0);
            stack.set({ accept: JSON.stringify({ v6: "the vitals move tomorrow" }) });
            expect((await stack.preview({ flags: ["--diff"] })).output).to.match(/accept +: \{\s+v6: "the vitals move/);

            await admin.query("ALTER ROLE guardian_operator BYPASSRLS");
            try {
              expect(await stops())
                .to.contain('v6 failed, and is accepted: "the vitals move tomorrow"')
                .and.match(
                  /gate schema: 1 of \d+ checks did not pass \(permissions\); the data stage was not begun \[gate-failed\]/,
                )
                .and.contain("guardian_operator has BYPASSRLS: row security does not stop it")
                .and.contain("mend permissions: REVOKE what is too much; ALTER ROLE … NOBYPASSRLS")
                .and.contain(`config set --path 'guardian:accept["permissions"]' 'why'`)
                .and.contain("config set guardian:through infrastructure");
              const afterSchema = "gate-before gate-schema; failed";
              expect(await reached(client)).to.equal(afterSchema);
              // Worse than it was accepted: void, where more is to come.
              await admin.query("ALTER TABLE public.patient_allergies DISABLE ROW LEVEL SECURITY");
              stack.set({ through: "deployment" });
              expect(await stops())
                .to.match(/gate before: 1 of \d+ checks did not pass \(v6\)/)
                .and.match(/is worse since:\n +v6: others than then: public.patient_allergies lacks row security/);
              expect(await reached(client)).to.equal(afterSchema);
              await admin.query("ALTER TABLE public.patient_allergies ENABLE ROW LEVEL SECURITY");
              // Pulumi's own order holds the first, and lets the second through.
              expect(await stops("--target", consents)).to.contain("not specified in --target list");
              const gate = urnOf("Schema$guardian-migration:index:Gate", "gate-schema");
              expect(await stops("--exclude", gate)).to.contain("[gate-unpassed]");
              expect(await reached(client), "around the gate").to.equal(afterSchema);
            } finally {
              await admin.query("ALTER ROLE guardian_operator NOBYPASSRLS");
            }

            // Mended; and v6 is another than the backup has it.
            await admin.query("ALTER TABLE public.patient_vitals ENABLE ROW LEVEL SECURITY");
            stack.set({ accept: "{}" });
            await admin.query("DROP INDEX public.patient_vitals_recent_idx");
            expect(await stops())
              .to.match(
                /gate data: 1 of 5 checks did not pass \(v6-definitions\); the deployment stage was not begun \[gate-failed\]/,
              )
              .and.contain("index public.patient_vitals_recent_idx is gone")
              .and.contain("config set guardian:through schema");
            const afterData = "DataMigration gate-before gate-data gate-schema; failed";
            expect(await reached(client)).to.equal(afterData);
            expect(await count(client, "public.patient_consents")).to.be.above(0);
            // Pulumi's own order again: the gate that failed is not in its state.
            expect(await stops("--target", urnOf("Deployment$guardian-migration:index:FeatureFlag", flag))).to.contain(
              "not specified in --target list",
            );
            expect(await reached(client), "around the gate").to.equal(afterData);

            // Accepted by name; and the application answers no more.
            stack.set({ accept: JSON.stringify({ "v6-definitions": "it is built anew tonight" }) });
            answers.status = 503;
            expect(await stops())
              .to.contain('v6-definitions failed, and is accepted: "it is built anew tonight"')
              .and.match(
                /gate end: 1 of \d+ checks did not pass \(api-endpoints\); the session is not completed \[gate-failed\]/,
              )
              .and.contain("config set guardian:through data");
            const all = "DataMigration FeatureFlag gate-before gate-data gate-end gate-schema";
            expect(await reached(client)).to.equal(`${all}; ${flag} 10; failed`);
            stack.set({ rollout: JSON.stringify({ [flag]: 50 }) });
            const held =
              /gate end has not passed since it failed, and no flag is raised before it has; fhir_integration stays/;
            expect((await stack.preview()).output)
              .to.match(/up will stop here: /)
              .and.match(held);
            expect(await stops())
              .to.match(held)
              .and.contain("[flag-held]");
            const flagUrn = urnOf("Deployment$guardian-migration:index:FeatureFlag", flag);
            expect(await stops("--target", flagUrn)).to.contain("[flag-held]");
            expect(await reached(client)).to.equal(`${all}; ${flag} 10; failed`);

            // Rolled back, and up again once it answers.
            stack.set({ through: "data" });
            expect((await stack.up()).output).not.to.contain("[gate-failed]");
            expect(await reached(client)).to.equal(`${all}; in_progress`);
            answers.status = 200;
            stack.set({ through: "deployment" });
            await stack.up();
            expect(await reached(client)).to.equal(
              `${all.replace("FeatureFlag", "FeatureFlag SessionCompletion")}; ${flag} 50; completed`,
            );
            expect(await steps(client)).to.deep.equal(
              ["before", "data", "end", "schema"].map((gate) => `gate-${gate} done`),
            );

            // The way back waits for no gate, however bad v6 is.
            for (const table of ["patient_vitals", "patient_allergies"])
              await admin.query(`ALTER TABLE public.${table} DISABLE ROW LEVEL SECURITY`);
            stack.set({ through: "infrastructure" });
            expect((await stack.up()).output).not.to.contain("[gate-failed]");
            expect(await count(client, "pg_tables WHERE tablename = 'patient_consents'")).to.equal(0);
            expect(await count(client, "public.migration_sessions WHERE status = 'in_progress'")).to.equal(1);
          },
          { users: 30 },
        ),
      ),
  );
});
