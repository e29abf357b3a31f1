import { expect } from "chai";
import type { Client } from "pg";
import type { V6 } from "../support/postgres";
import { outcome, walkModules, withWalk, withWalkOn, type Held, type Made, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";
import { withEverything } from "./everything";
import { long } from "../support/long";

type All = Map<string, { held: Held; again: () => Promise<Held> }>;

/** Those that need what the walk applies. */
const needing = ["005_user_preferences", "006_document_queue", "007_notification_queue"];

/** What must stand whatever the engine deletes of what was replaced. */
async function standing(client: Client): Promise<unknown> {
  const { rows } = await client.query(
    `SELECT (SELECT count(*)::int FROM public.patient_consents) AS consents,
       (SELECT rollout_percentage FROM public.feature_flags WHERE feature_name = 'enhanced_consent') AS percent,
       (SELECT array_agg(status ORDER BY status) FROM public.migration_sessions) AS sessions,
       (SELECT count(*)::int FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS functions`,
  );
  return rows[0];
}

/** @returns the id that a refresh finds; empty: gone */
const read = async (walk: Walk, held: Held): Promise<string> => (await walk.read(held)).id;

const older = /^this stack.s state is older than the database.*\[state-outdated\]/;

describe("provider: a resource that Pulumi replaces", function () {
  this.timeout(120_000);
  const walking = (
    modules: readonly string[],
    test: (walk: Walk, made: Made, db: V6, client: Client) => Promise<void>,
  ): Promise<void> => withWalkOn(modules, async (walk, made, db) => test(walk, made, db, await db.connect()));
  /** One of every kind is there, by its kind; modules by their names. */
  const withAll = (test: (walk: Walk, made: All, db: V6, client: Client) => Promise<void>): Promise<void> =>
    withEverything(walkModules, (made, db) =>
      anotherRun(db, async (walk) => {
        const all = made.map(({ kind, name, args, held }) => {
          // The others' backups are not here.
          const own = kind === "Backup" ? walk.backupArgs(args["ledgerId"]!) : args;
          const again = (): Promise<Held> => walk.create(kind, name, own);
          return [kind === "SqlModule" ? name : kind, { held, again }] as const;
        });
        await test(walk, new Map(all), db, await db.connect());
      }),
    );
  /** Another run of the engine, which knows nothing of what the one before asked. */
  const anotherRun = (db: V6, test: (walk: Walk) => Promise<void>) => withWalk({ database: db.migrator }, test);

  it("16-1: of every kind: create takes over what is there, the delete of the old id warns and deletes nothing", () =>
    withAll(async (walk, made, _db, client) => {
      const before = await standing(client);
      for (const [name, { held, again }] of made) {
        const newer = await again();
        expect(newer.id, name).to.match(new RegExp(`^${held.id}~0\\.1$`));
        await walk.remove(held);
        expect(await standing(client), name).to.deep.equal(before);
        expect(walk.said("warning", held.urn).join(), name).to.contain("nothing is deleted");
        expect(await walk.diff(newer), name).to.deep.equal({ changes: "none", paths: {} });
        made.set(name, { held: newer, again });
      }
      for (const { held } of [...made.values()].reverse()) await walk.remove(held);
      const { rows } = await client.query("SELECT to_regclass('public.patient_consents') AS there");
      expect(rows).to.deep.equal([{ there: null }]);
    }));

  it("16-1: preview says that it takes over what is there, and that a replacement deletes nothing", () =>
    walking(["000_audit_log"], async (walk, { ledger, modules }) => {
      const args = { module: "000_audit_log", ledgerId: ledger.state["ledgerId"]! };
      const said = async (): Promise<string | undefined> => {
        const { urn } = await walk.create("SqlModule", "000_audit_log", args, { preview: true });
        return walk.said(undefined, urn).at(-1);
      };
      expect(await said()).to.contain("is taken over as it is; if this is a replacement, nothing is deleted");
      await walk.remove(modules[0]!);
      expect(await said(), "what was rolled back is not there")
        .to.match(/^will make /)
        .and.not.contain("taken over");
    }));

  it("16-1: a state from before is refused by diff and delete, and refresh brings it up to date", () =>
    withAll(async (_walk, made, db, client) => {
      const before = await standing(client);
      const newer = new Map<string, string>();
      for (const [name, { again }] of made) newer.set(name, (await again()).id);
      // A day later, with the state of the day before.
      await anotherRun(db, async (later) => {
        const consents = made.get("DataMigration")!.held;
        expect(await outcome(later.remove(consents)))
          .to.match(older)
          .and.contain("run refresh");
        expect(await outcome(later.diff(consents))).to.match(older);
        expect(await standing(client)).to.deep.equal(before);
      });
      await anotherRun(db, async (later) => {
        const found = await Promise.all([...made.values()].map(({ held }) => read(later, held)));
        expect(found).to.deep.equal([...newer.values()]);
        const refreshed = [...made.values()].map(({ held }, i) => ({ ...held, id: found[i]! }));
        for (const held of refreshed.reverse()) await later.remove(held);
        const { rows } = await client.query("SELECT to_regclass('public.patient_consents') AS there");
        expect(rows).to.deep.equal([{ there: null }]);
      });
    }));

  it("16-1: a state from before a rollback and a new up is refused too", () =>
    walking(["000_audit_log"], async (walk, { ledger, modules }, db) => {
      const [first] = modules as [Held];
      await walk.remove(first);
      const module = { module: "000_audit_log", ledgerId: ledger.state["ledgerId"]! };
      await walk.create("Backup", "backup", walk.backupArgs(ledger.state["ledgerId"]!, ["000_audit_log"]));
      const second = await walk.create("SqlModule", "000_audit_log", module);
      expect([first.id, second.id]).to.deep.equal(["000_audit_log", "000_audit_log~1.0"]);
      await anotherRun(db, async (later) => {
        expect(await outcome(later.remove(first))).to.match(older);
        await later.remove(second);
        await later.remove(first);
      });
    }));

  it("16-1: killed between the two, a replacement clears itself: by up, by refresh and by destroy", () =>
    withAll(async (_walk, made, db, client) => {
      const before = await standing(client);
      const { held: old, again } = made.get("DataMigration")!;
      const newer = await again();
      // up: the program declares it, so that it is compared before what is pending is deleted.
      await anotherRun(db, async (up) => {
        expect(await up.diff(newer)).to.deep.equal({ changes: "none", paths: {} });
        await up.remove(old);
        expect(await standing(client)).to.deep.equal(before);
      });
      await anotherRun(db, async (refresh) => {
        expect(await Promise.all([read(refresh, newer), read(refresh, old)])).to.deep.equal([newer.id, ""]);
      });
      // destroy: both at once, in whatever order.
      await anotherRun(db, async (destroy) => {
        await Promise.all([destroy.remove(old), destroy.remove(newer)]);
        expect(await standing(client)).to.deep.include({ consents: 0 });
      });
    }));

  long("16-1: what is still needed is asked before any row is touched", () =>
    walking([...walkModules, ...needing], async (walk, { ledger, modules }, _db, client) => {
      await walk.create("DataMigration", "consents", walk.consents(ledger.state["ledgerId"]!));
      const before = await standing(client);
      const needed = modules.find(({ urn }) => urn.endsWith("004_enhanced_consent"))!;
      expect(await outcome(walk.remove(needed))).to.match(
        /still needed \[module-needed\]\n {2}where: 007_notification_queue/,
      );
      expect(await standing(client)).to.deep.equal(before);
    }),
  );

  long(
    "16-1: a flag that the state has forgotten goes with its table, and is no flag changed by hand when it comes back",
    () =>
      walking(["000_audit_log", "001_feature_flags"], async (walk, { ledger, modules }) => {
        const { ledgerId } = ledger.state as { ledgerId: Wire };
        const flag = { flag: "enhanced_consent", enabled: true, rolloutPercentage: 100, enabledForUsers: [], ledgerId };
        await walk.create("FeatureFlag", "enhanced_consent", flag);
        await walk.remove(modules[1]!);
        await walk.create("Backup", "backup", walk.backupArgs(ledgerId, ["001_feature_flags"]));
        await walk.create("SqlModule", "001_feature_flags", { module: "001_feature_flags", ledgerId });
        const { id } = await walk.create("FeatureFlag", "enhanced_consent", flag);
        expect(id).to.equal("enhanced_consent~1.0");
      }),
  );

  long(
    "16-1: --target-replace, one killed after its create, --refresh, destroy --target: runs that ask of one alone",
    () =>
      withAll(async (_walk, made, db, client) => {
        const before = await standing(client);
        const { held, again } = made.get("DataMigration")!;
        const { held: flag, again: flagAgain } = made.get("FeatureFlag")!;
        // Killed before the state had it: the next run knows the old one only.
        await flagAgain();
        let newer = held;
        await anotherRun(db, async (run) => {
          expect(await outcome(run.remove(flag))).to.match(older);
          await run.diff(held);
          newer = await run.create("DataMigration", "consents", run.consents(held.inputs["ledgerId"]!));
          await run.remove(held);
        });
        expect(await standing(client)).to.deep.equal(before);
        newer = await again();
        // --refresh: the run that brings an old state up to date goes on with it, and takes back what it says.
        await anotherRun(db, async (run) => {
          const found = { ...held, id: await read(run, held) };
          expect(found.id).to.equal(newer.id);
          expect(await run.diff(found)).to.deep.equal({ changes: "none", paths: {} });
          expect(await standing(client)).to.deep.equal(before);
          await run.remove(found);
          expect(await standing(client)).to.deep.equal({ ...(before as object), consents: 0 });
          await run.remove({ ...flag, id: await read(run, flag) });
          expect(await standing(client)).to.deep.equal({ ...(before as object), consents: 0, percent: 0 });
        });
      }),
  );

  it("16-1: state rename, state delete, import: what stands is neither deleted nor gone, and the way out is named", () =>
    withAll(async (walk, made, db, client) => {
      const before = await standing(client);
      await anotherRun(db, async (run) => {
        for (const { held } of made.values()) {
          // Under a name that the ledger does not know, and under ones that it knows of something else.
          for (const name of ["renamed", "consents", "000_audit_log"]) {
            if (held.urn.endsWith(`::${name}`)) continue;
            const urn = held.urn.replace(/[^:]+$/, name);
            const renamed = { ...held, urn };
            for (const work of [() => run.remove(renamed), () => run.diff(renamed), () => run.read(renamed)])
              expect(await outcome(work()))
                .to.contain("renamed in the state")
                .and.contain(`pulumi state rename '${urn}' ${held.id}`)
                .and.contain(`pulumi state delete '${urn}'`);
          }
          expect(await outcome(run.read({ ...held, state: {}, inputs: {} }))).to.contain("[import-refused]");
        }
        // All was forgotten but the ledger.
        expect(await outcome(run.remove(made.get("Ledger")!.held))).to.contain("[not-in-state]");
      });
      expect(await standing(client)).to.deep.equal(before);
      // up makes it anew under its own name, which takes over what stands; what was renamed is then to be forgotten.
      const newer = await made.get("DataMigration")!.again();
      expect(await walk.diff(newer)).to.deep.equal({ changes: "none", paths: {} });
      expect(await standing(client)).to.deep.equal(before);
    }));
});
