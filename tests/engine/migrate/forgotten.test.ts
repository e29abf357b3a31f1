import { expect } from "chai";
import * as calls from "../../support/calls";
import { withV6 } from "../../support/postgres";
import { clientFolder, withWalk } from "../../support/walk";
import { column } from "../module/harness";

describe("a data migration that the stack's state does not know", function () {
  this.timeout(60_000);
  let bin: string;
  before(async function () {
    bin = await clientFolder(this, 15);
  });

  for (const state of ["done", "running"]) {
    it(`is taken back when its table's module is deleted; the ledger says ${state}`, () =>
      withV6(15, (db) =>
        withWalk({ database: db.migrator, bin }, async (walk) => {
          const admin = await db.connect("admin");
          const { ledger, modules } = await walk.through();
          const consents = await walk.create(
            "DataMigration",
            "consents",
            walk.consents(ledger.state["ledgerId"] ?? ""),
          );
          expect(consents.state["writtenRows"]).to.be.greaterThan(200);
          if (state === "running") {
            // As a plugin that was killed before its cut-over leaves it: the triggers are on v6.
            await admin.query("UPDATE guardian_migration.step SET state = 'running', ended_at = NULL WHERE urn = $1", [
              consents.urn,
            ]);
            await admin.query(`CREATE FUNCTION guardian_migration.follow_consents_0() RETURNS trigger LANGUAGE plpgsql AS
              'BEGIN RETURN NULL; END'; ALTER FUNCTION guardian_migration.follow_consents_0() OWNER TO guardian_migrator;
              CREATE TRIGGER guardian_follow_consents_rows AFTER INSERT OR DELETE ON auth.users
                FOR EACH ROW EXECUTE FUNCTION guardian_migration.follow_consents_0()`);
          }
          const { urn, id, state: held, inputs } = modules.at(-1)!;
          await walk.plugin.call(walk.plugin.client.delete, calls.remove(urn, id, held, inputs));
          const left = `SELECT to_regclass('public.patient_consents') IS NULL
            AND NOT EXISTS (SELECT FROM guardian_migration.archived WHERE original = 'public.patient_consents')
            AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE 'guardian_follow_%')
            AND NOT EXISTS (SELECT FROM pg_proc WHERE proname LIKE 'follow_%')`;
          expect(await column(admin, left), "table, archived rows, triggers").to.deep.equal([true]);
          const newest = "SELECT state FROM guardian_migration.step WHERE urn = $1 ORDER BY id DESC LIMIT 1";
          expect(await column(admin, newest, [consents.urn])).to.deep.equal(["undone"]);
        }),
      ));
  }
});
