import { expect } from "chai";
import type { Client } from "pg";
import { withV6 } from "../support/postgres";
import { withWalk, type Held, type Walk } from "../support/walk";

const name = "004_enhanced_consent";
const archive = "guardian_archive.patient_consents__2";

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
        await walk.remove(modules[1]!);
        // As a version without the bound left it.
        await client.query(`ALTER TABLE ${archive} DROP CONSTRAINT patient_consents_revocation_reason_bound;
          UPDATE ${archive} SET revocation_reason = repeat('secret ', 3000)`);
        await walk.create("Backup", "backup", walk.backupArgs(ledgerId, ["000_audit_log", name]));
        await walk.create("SqlModule", name, { module: name, ledgerId }, { preview: true });
        expect(walk.said("info").at(-1)).to.contain("bring 1 archived row of public.patient_consents back");
        return walk.create("SqlModule", name, { module: name, ledgerId });
      });
      expect(await count(client)).to.deep.equal([{ n: 0, said: null }]);
      const warning =
        "1 archived row of public.patient_consents stays in guardian_archive.patient_consents__2, refused: 1 by " +
        "patient_consents_revocation_reason_bound (SQLSTATE 23514); their keys: SELECT key, sqlstate, object FROM " +
        "guardian_migration.reject WHERE urn = 'guardian_archive.patient_consents__2'; ";
      await run(async (walk) => {
        expect(await walk.diff(again)).to.deep.equal({ changes: "none", paths: {} });
        await walk.read(again);
        const waits = `${warning}mend them there, or delete those that are given up; the next up tries them once more`;
        expect(walk.said("warning")).to.deep.equal([waits, waits]);
      });
      await client.query(`UPDATE ${archive} SET revocation_reason = 'mended'`);
      await run(async (walk) => {
        expect(await walk.diff(again)).to.deep.equal({ changes: "some", paths: { archive: "update, output" } });
        expect(walk.said("warning")).to.deep.equal([
          `${warning}some of them were changed since: up tries them once more`,
        ]);
        await walk.update(again, again.inputs, { preview: true });
        expect(walk.said("info").at(-1)).to.contain("bring 1 archived row of public.patient_consents back");
        await walk.update(again);
        expect(await count(client)).to.deep.equal([{ n: 1, said: "mended" }]);
        expect(await walk.diff(again)).to.deep.equal({ changes: "none", paths: {} });
        expect(JSON.stringify(walk.plugin.engine.logs)).not.to.contain("secret");
      });
    }));
});
