import { expect } from "chai";
import type { Client } from "pg";
import { Database } from "../../engine/database";
import { withV6 } from "../support/postgres";
import { outcome, walkModules, withWalk, withWalkOn, type Held } from "../support/walk";
import { results } from "../engine/gates/measured";
import { schemaGate, type Bag } from "./gated";
import { long } from "../support/long";

const flag = "event_sourcing";

/** Who has the flag. */
const live = async (admin: Client): Promise<string> => {
  const { rows } = await admin.query<{ line: string }>(
    "SELECT concat_ws(' ', enabled, rollout_percentage, cardinality(enabled_for_users)) AS line FROM public.feature_flags WHERE feature_name = $1",
    [flag],
  );
  return rows[0]?.line ?? "";
};

const attempts = async (admin: Client): Promise<number> =>
  (await admin.query("SELECT 1 FROM guardian_migration.step WHERE kind = 'FeatureFlag'")).rows.length;

describe("provider: what a gate at the end that failed holds", function () {
  this.timeout(120_000);

  it("19-8 no flag is raised while it stands failed, preview says so; lowered it is; passed, accepted or rolled back raises go on", () =>
    withWalkOn(walkModules, async (walk, made, db) => {
      const admin = await db.connect("admin");
      const { ledgerId } = made.ledger.state as { ledgerId: string };
      const args = (rolloutPercentage: number, enabledForUsers: string[] = []): Bag => {
        const enabled = rolloutPercentage > 0 || enabledForUsers.length > 0;
        return { flag, enabled, rolloutPercentage, enabledForUsers, ledgerId };
      };
      let held = await walk.create("FeatureFlag", flag, args(10));
      const to = async (...given: Parameters<typeof args>): Promise<string> =>
        outcome(walk.change(held, args(...given)).then((now) => (held = now)));
      let gate: Held | undefined;
      const end = async (more: Bag = {}): Promise<string> => {
        const args = schemaGate(made, { gate: "end", checks: ["row-security"], ...more });
        const work = gate ? walk.change(gate, args) : walk.create("Gate", "gate-end", args);
        return outcome(work.then((now) => (gate = now)));
      };
      const fails = async (more: Bag = {}): Promise<void> => void expect(await end(more)).to.contain("[gate-failed]");
      const passes = async (more: Bag = {}): Promise<void> => void expect(await end(more)).to.equal("done");
      const ends = async (): Promise<void> => {
        await walk.remove(gate!);
        gate = undefined;
      };
      const guard = (how: string) => admin.query(`ALTER TABLE public.audit_log ${how} ROW LEVEL SECURITY`);

      await guard("DISABLE");
      await fails();
      const tried = await attempts(admin);
      const refused =
        /^gate end has not passed since it failed, and no flag is raised before it has; event_sourcing stays as it is \[flag-held\]/;
      expect(await to(50))
        .to.match(refused)
        .and.contain("on for 10 %, to be on for 50 %; gate end at 2");
      expect(await to(10, ["00000000-0000-4000-8000-000000000001"])).to.match(refused);
      const other = { ...args(5), flag: "multi_tenancy" };
      expect(await outcome(walk.create("FeatureFlag", "multi_tenancy", other))).to.contain("[flag-held]");
      expect([await live(admin), await attempts(admin)], "nothing was tried").to.deep.equal(["t 10 0", tried]);
      const preview = async (percentage: number): Promise<string[]> => {
        const before = walk.said("warning").length;
        await walk.change(held, args(percentage), { preview: true });
        return walk.said("warning").slice(before);
      };
      expect((await preview(50)).join()).to.match(/^up will stop here: gate end has not passed .*\[flag-held\]/);
      expect(await preview(9)).to.deep.equal([]);

      expect(await to(5)).to.equal("done");
      expect(await to(6), "from where it is now").to.match(refused);
      expect(await to(0)).to.equal("done");
      expect(await to(5), "and off").to.match(refused);
      // The end of the gate alone is no rollback: the flags with which it failed stand.
      await passes({ accept: { "row-security": "to have it in hand" } });
      await fails({ rollout: { planted: 1 } });
      await ends();
      expect(await to(5)).to.match(refused);

      await guard("ENABLE");
      expect(await to(5), "mended, and nobody has asked").to.match(refused);
      await passes();
      expect(await to(20)).to.equal("done");
      await guard("DISABLE");
      await fails({ rollout: { planted: 2 } });
      expect(await to(21)).to.match(refused);
      await passes({ accept: { "row-security": "a drill" } });
      expect(await to(21)).to.equal("done");
      await fails({ rollout: { planted: 3 } });
      await ends();
      await walk.remove(held);
      held = await walk.create("FeatureFlag", flag, args(7));
      expect(await live(admin), "after a rollback").to.equal("t 7 0");
    }));

  long("19-8 a plan that became slower is a criterion of rollback: the flags are set back", () =>
    withV6((db) =>
      withWalk({ database: db.migrator }, async (walk) => {
        const admin = await db.connect("admin");
        await results(admin, 50);
        await admin.query("VACUUM (ANALYZE)");
        const ledger = await walk.create("Ledger", "ledger", { purge: false });
        const { ledgerId } = ledger.state as { ledgerId: string };
        // The last of them touches v6.
        const modules = [...walkModules.slice(0, 3), "005_user_preferences"];
        const backup = await walk.create("Backup", "backup", walk.backupArgs(ledgerId, modules));
        const gate = (name: string, more: Bag): Promise<Held> =>
          walk.create("Gate", `gate-${name}`, schemaGate({ ledger, backup, modules: [] }, { gate: name, ...more }));
        await gate("before", { checks: ["performance-baseline"], judges: backup.inputs["protects"]! });
        for (const module of modules) await walk.create("SqlModule", module, { module, ledgerId });
        const args = (rolloutPercentage: number): Bag => ({
          ...{ flag, enabled: true, rolloutPercentage, enabledForUsers: [], ledgerId },
        });
        const held = await walk.create("FeatureFlag", flag, args(10));
        const end = (rollout: number): Promise<string> =>
          outcome(gate("end", { checks: ["performance"], rollout: { [flag]: rollout }, onBreach: "rollback" }));
        expect(await end(10)).to.equal("done");
        await walk.change(held, args(50));
        await admin.query("DROP INDEX public.patient_lab_results_recent_idx");
        const stopped = await end(50);
        expect(stopped)
          .to.match(/laboratory results: failed by pages and plan/)
          .and.match(
            /rollback: Performance degradation > 25% \(performance\): event_sourcing on for no more than when/,
          );
        expect(await live(admin)).to.equal("t 10 0");
      }),
    ),
  );

  it("19-2 preview reads the ledger's steps once for all gates", () =>
    withWalkOn(walkModules, async (walk, made) => {
      const texts: string[] = [];
      const own = Object.getOwnPropertyDescriptor(Database.prototype, "read")!;
      const noting = function (this: Database, work: (db: object) => unknown): unknown {
        const counting = (db: object): unknown => {
          const query = (sql: string, values: unknown): unknown => {
            texts.push(sql);
            return (db as { query: (sql: string, values: unknown) => unknown }).query(sql, values);
          };
          return work(new Proxy(db, { get: (of, key): unknown => (key === "query" ? query : Reflect.get(of, key)) }));
        };
        return Reflect.apply(own.value as () => unknown, this, [counting] as never);
      };
      Object.defineProperty(Database.prototype, "read", { ...own, value: noting });
      try {
        const accept = { "row-security": "a drill" };
        for (const gate of ["schema", "end"])
          await walk.create(
            "Gate",
            `gate-${gate}`,
            schemaGate(made, { gate, checks: ["row-security", "functions"], accept }),
            { preview: true },
          );
      } finally {
        Object.defineProperty(Database.prototype, "read", own);
      }
      expect(texts.filter((sql) => sql.includes("DISTINCT ON (urn, part)"))).to.have.length(1);
    }));
});
