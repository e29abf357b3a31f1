import { expect } from "chai";
import type { Client } from "pg";
import * as calls from "../support/calls";
import { withV6 } from "../support/postgres";
import { withWalk, type Held, type Walk } from "../support/walk";

const name = "004_enhanced_consent";
const archive = "guardian_archive.patient_consents__2";

const said = (walk: Walk, urn: string, severity: string): string[] =>
  walk.plugin.engine.logs
    .filter((line) => line.urn === urn && line.severity === severity && !line.ephemeral)
    .map((line) => line.message);
const count = async (client: Client): Promise<unknown> =>
  (await client.query("SELECT count(*)::int AS n, max(revocation_reason) AS said FROM public.patient_consents")).rows;

describe("provider: archived rows that a module refuses", function () {
  this.timeout(120_000);

  it("16-15: create, diff and refresh warn of them and go on; once they are mended, diff plans what update brings back", () =>
    withV6(async (db) => {
      const client = await db.connect();
      const run = <T>(test: (walk: Walk) => Promise<T>): Promise<T> => withWalk({ database: db.migrator }, test);
      const again = await run(async (walk): Promise<Held> => {
        const { ledger, modules } = await walk.through(["000_audit_log", name]);
        const ledgerId = ledger.state["ledgerId"]!;
        await client.query(`INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, consent_metadata, revocation_reason)
          SELECT id, 'data_sharing', 'healthcare_services', 'consent', '{"state": "refused"}', 'no' FROM auth.users LIMIT 1`);
        const [, { urn, id, state, inputs }] = modules as [Held, Held];
        await walk.plugin.call(walk.plugin.client.delete, calls.remove(urn, id, state, inputs));
        // As a version without the bound left it.
        await client.query(`ALTER TABLE ${archive} DROP CONSTRAINT patient_consents_revocation_reason_bound;
          UPDATE ${archive} SET revocation_reason = repeat('secret ', 3000)`);
        await walk.create("Backup", "backup", walk.backupArgs(ledgerId, ["000_audit_log", name]));
        await walk.create("SqlModule", name, { module: name, ledgerId }, { preview: true });
        expect(said(walk, urn, "info").at(-1)).to.contain("bring 1 archived row of public.patient_consents back");
        return walk.create("SqlModule", name, { module: name, ledgerId });
      });
      expect(await count(client)).to.deep.equal([{ n: 0, said: null }]);
      const warning =
        "1 archived row of public.patient_consents stays in guardian_archive.patient_consents__2, refused: 1 by " +
        "patient_consents_revocation_reason_bound (SQLSTATE 23514); their keys: SELECT key, sqlstate, object FROM " +
        "guardian_migration.reject WHERE urn = 'guardian_archive.patient_consents__2'; ";
      await run(async (walk) => {
        expect(await walk.diff(again)).to.deep.equal({ changes: "none", paths: {} });
        const args = Object.fromEntries(Object.entries(again.inputs).filter(([key]) => key !== "__source"));
        const { urn, id, state } = again;
        await walk.plugin.call(walk.plugin.client.read, calls.read(urn, id, state, args));
        const waits = `${warning}mend them there, or delete those that are given up; the next up tries them once more`;
        expect(said(walk, urn, "warning")).to.deep.equal([waits, waits]);
      });
      await client.query(`UPDATE ${archive} SET revocation_reason = 'mended'`);
      await run(async (walk) => {
        const { urn, id, state, inputs } = again;
        expect(await walk.diff(again)).to.deep.equal({ changes: "some", paths: { archive: "update, output" } });
        expect(said(walk, urn, "warning")).to.deep.equal([
          `${warning}some of them were changed since: up tries them once more`,
        ]);
        const change = { id, olds: state, oldInputs: inputs, news: inputs };
        await walk.plugin.call(walk.plugin.client.update, calls.update(urn, change, { preview: true }));
        expect(said(walk, urn, "info").at(-1)).to.contain("bring 1 archived row of public.patient_consents back");
        await walk.plugin.call(walk.plugin.client.update, calls.update(urn, change));
        expect(await count(client)).to.deep.equal([{ n: 1, said: "mended" }]);
        expect(await walk.diff(again)).to.deep.equal({ changes: "none", paths: {} });
        expect(JSON.stringify(walk.plugin.engine.logs)).not.to.contain("secret");
      });
    }));
});
