import { expect } from "chai";
import type { Client } from "pg";
import * as calls from "../../support/calls";
import { long } from "../../support/long";
import { withV6 } from "../../support/postgres";
import { withWalk } from "../../support/walk";
import { column } from "../module/harness";

/** As a plugin that was killed before its cut-over leaves it: the triggers are on v6. */
async function cutOff(admin: Client, urn: string): Promise<void> {
  await admin.query("UPDATE guardian_migration.step SET state = 'running', ended_at = NULL WHERE urn = $1", [urn]);
  await admin.query(`CREATE FUNCTION guardian_migration.follow_consents_0() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RETURN NULL; END'; ALTER FUNCTION guardian_migration.follow_consents_0() OWNER TO guardian_migrator;
    CREATE TRIGGER guardian_follow_consents_rows AFTER INSERT OR DELETE ON auth.users
      FOR EACH ROW EXECUTE FUNCTION guardian_migration.follow_consents_0()`);
}

const traces = `SELECT count(*) FROM pg_proc WHERE proname LIKE 'follow_%'`;

describe("a data migration that the stack's state does not know", function () {
  this.timeout(60_000);
  for (const state of ["done", "running"]) {
    const test = state === "running" ? it : long;
    test(`is taken back when its table's module is deleted; the ledger says ${state}`, () =>
      withV6((db) =>
        withWalk({ database: db.migrator }, async (walk) => {
          const admin = await db.connect("admin");
          const { ledger, modules } = await walk.through();
          const consents = await walk.create(
            "DataMigration",
            "consents",
            walk.consents(ledger.state["ledgerId"] ?? ""),
          );
          expect(consents.state["writtenRows"]).to.be.greaterThan(200);
          if (state === "running") await cutOff(admin, consents.urn);
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

  it("is taken back when the program does not have it any more, and its table stays; the preview says so", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const admin = await db.connect("admin");
        const { ledger } = await walk.through();
        const ledgerId = ledger.state["ledgerId"] ?? "";
        const session = await walk.create("MigrationSession", "session", walk.session(ledgerId, 9, ["consents"]));
        const consents = await walk.create("DataMigration", "consents", walk.consents(ledgerId));
        await cutOff(admin, consents.urn);
        const rows = "SELECT count(*) FROM public.patient_consents";
        const [before] = await column(admin, rows);
        expect(before).not.to.equal("0");
        const lower = async (migrations: string[], preview: boolean): Promise<void> => {
          const news = await walk.check(
            "MigrationSession",
            "session",
            walk.session(ledgerId, 8, migrations),
            session.inputs,
          );
          const change = { id: session.id, olds: session.state, oldInputs: session.inputs, news };
          await walk.plugin.call(walk.plugin.client.update, calls.update(session.urn, change, { preview }));
        };
        await lower(["consents"], false);
        expect(await column(admin, rows), "the program still has it").to.deep.equal([before]);
        await lower([], true);
        expect(await column(admin, rows), "preview").to.deep.equal([before]);
        expect(JSON.stringify(walk.plugin.engine.logs)).to.contain(
          "consents was cut off: what it wrote will be taken back",
        );
        // Cut off once more, it goes on with the next up: the session's state is as it was.
        await admin.query(`CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
          CREATE TRIGGER no BEFORE DELETE ON public.patient_consents EXECUTE FUNCTION public.no()`);
        const failed = await lower([], false).then(
          () => "went through",
          () => "failed",
        );
        expect([failed, ...(await column(admin, rows))]).to.deep.equal(["failed", before]);
        await admin.query("DROP FUNCTION public.no() CASCADE");
        await lower([], false);
        expect(await column(admin, rows)).to.deep.equal(["0"]);
        expect(await column(admin, traces)).to.deep.equal(["0"]);
      }),
    ));

  it("was taken back by a run that was cut off before it said so: with other parameters it begins anew", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const { ledger } = await walk.through();
        const args = walk.consents(ledger.state["ledgerId"] ?? "");
        const { urn, id, state, inputs } = await walk.create("DataMigration", "consents", args);
        const parameters = { mode: "pending", legalBasis: "consent", statement: "asked anew" };
        const news = await walk.check("DataMigration", "consents", { ...args, parameters }, inputs);
        const change = { id, olds: state, oldInputs: inputs, news };
        const update = (preview: boolean): Promise<unknown> =>
          walk.plugin.call(walk.plugin.client.update, calls.update(urn, change, { preview }));
        const refusal = async (): Promise<string> => String(await update(false).catch((err: unknown) => err));
        expect(await refusal()).to.contain("[migration-changed]");
        await walk.plugin.call(walk.plugin.client.delete, calls.remove(urn, id, state, inputs));
        await update(true);
        // It may begin, and asks for what every beginning asks for.
        expect(await refusal()).to.contain("[backup-missing]");
      }),
    ));
});
