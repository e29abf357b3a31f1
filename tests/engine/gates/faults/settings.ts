import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { allModules } from "../../../../components/plan";
import { baselineBy } from "../../../../engine/gates/performance/performance-baseline";
import { slowdownBy } from "../../../../engine/gates/performance/performance";
import { loadMigration } from "../../../../engine/migrate/definition/migration";
import { createV6, withClient } from "../../../../scripts/v6/database";
import { withApplication } from "../criteria/application";
import { provenBackup } from "../harness";
import { results, speed, steadily } from "../measured";
import { assumed, modules } from "../../migrate/harness";
import { Engine, withEngine, type EngineOptions } from "../../module/harness";
import type { Dumps } from "../../dumps";
import type { V6 } from "../../../support/postgres";
import { before, ofBackup } from "./before";
import { criteria, naming, signed } from "./criteria";
import type { Fault, Place, Stack } from "./fault";
import { replaced } from "./function";
import { moved } from "./moved";
import { onV6, onV7 } from "./overlooked";
import { baseline, performance } from "./performance";
import { instead, through } from "./planted";
import { byHand, rights, rowsOfMany, rowSecurity } from "./security";
import { ofServer, startChecked } from "./server";
import { validation } from "./validation";
import { lastly } from "../../../support/lastly";

/** Where faults are planted, and which. */
interface Setting {
  readonly faults: readonly Fault[];
  /** All of them take long: faults.test.ts plants the first, every.slow.test.ts all. */
  readonly slow?: true;
  readonly within: (dumps: Dumps, work: (place: Place) => Promise<void>) => Promise<void>;
}

/** What stacks declare here, with the client programs of the tests. */
const stackOf = ({ bin }: Dumps): Stack => ({
  declared: {
    env: { ...process.env, GUARDIAN_PG_BIN: bin },
    backup: { directory: join(tmpdir(), "guardian-gates"), maxAge: 3600, verify: "restore" },
  },
});

/** Gates that measure at full speed, since nobody is spared here, and by a clock that always says the same. */
const hurried = (work: () => Promise<void>): Promise<void> =>
  instead(baselineBy({ speed, clock: steadily() }), () => instead(slowdownBy({ speed, clock: steadily() }), work));

/** A place on a copy of a template, with these modules. */
const placed = (
  dumps: Dumps,
  work: (place: Place) => Promise<void>,
  options: EngineOptions & { modules?: readonly string[] } = {},
): Promise<void> =>
  withEngine(async (engine, db) => {
    const admin = await db.connect("admin");
    await hurried(() => work({ engine, db, admin, stack: stackOf(dumps) }));
  }, options);

/** With all modules, and rows of many accounts. */
const migrated: Setting["within"] = (dumps, work) =>
  placed(
    dumps,
    async (place) => {
      await place.admin.query(rowsOfMany);
      await work(place);
    },
    { modules: allModules() },
  );

/** On a server of its own, whose pages have checksums. */
const apart: Setting["within"] = async (dumps, work) => {
  const server = await startChecked();
  try {
    const logins = await createV6(server, "guardian", { users: 30 });
    const engine = new Engine(logins.migrator);
    const db: V6 = { ...logins, name: "guardian", connect: () => Promise.reject(new Error("is not asked here")) };
    try {
      await engine.open();
      await withClient(logins.admin, (admin) => hurried(() => work({ engine, db, admin, stack: stackOf(dumps) })));
    } finally {
      await engine.close();
    }
  } finally {
    await server.stop();
  }
};

/** After a backup that is proven, and nothing else. */
const backedUp: Setting["within"] = (dumps, work) =>
  placed(dumps, async (place) => {
    const { engine, db, admin } = place;
    await provenBackup(engine, db, dumps, admin);
    await work(place);
    const again = await through(place, "data", place.stack);
    expect(again, "once all faults are undone").not.to.have.property("stopped");
  });

/** With a module by which v6 may become slower, whether it is applied already or not. */
const measuredWith =
  (touched: boolean): Setting["within"] =>
  (dumps, work) =>
    placed(
      dumps,
      async (place) => {
        const { engine, admin } = place;
        const stack = { ...place.stack, accept: { transactions: "this role is not to see others'" } };
        await results(admin, 50);
        await admin.query("VACUUM (ANALYZE)");
        if (touched) {
          expect(await through(place, "before", stack)).not.to.have.property("stopped");
          await engine.applyReal("005_user_preferences");
        }
        await work({ ...place, stack });
      },
      { modules: allModules().filter((name) => name < "003") },
    );

/** Every fault of every check, by where it is planted: faults.test.ts, every.slow.test.ts and unseen.slow.test.ts plant them. */
export const settings = {
  v6: {
    faults: [...onV6, ...before],
    within: (dumps, work) =>
      placed(dumps, async (place) => {
        await place.admin.query("GRANT pg_read_all_stats TO guardian_migrator");
        await lastly(work(place), () => place.admin.query("REVOKE pg_read_all_stats FROM guardian_migrator"));
      }),
  },
  server: {
    faults: ofServer,
    within: apart,
  },
  backup: {
    faults: ofBackup,
    within: (dumps, work) =>
      placed(dumps, async (place) => {
        const { engine, db, admin } = place;
        await provenBackup(engine, db, dumps, admin, { "000_audit_log": "meant" });
        await work(place);
      }),
  },
  baseline: {
    faults: baseline,
    within: measuredWith(false),
  },
  slowdown: { faults: performance, within: measuredWith(true) },
  rowSecurity: {
    faults: rowSecurity,
    within: (dumps, work) =>
      migrated(dumps, async (place) => {
        await place.admin.query(
          "CREATE TABLE public.user_of_the_day AS SELECT min(id::text) AS patient_id FROM auth.users; GRANT SELECT ON public.user_of_the_day TO authenticated",
        );
        await work(place);
      }),
  },
  byHand: {
    faults: byHand,
    within: migrated,
  },
  rights: {
    faults: [...onV7, ...rights],
    within: (dumps, work) =>
      migrated(dumps, async (place) => {
        // Of this table one account alone has a row.
        await place.admin.query(
          `INSERT INTO public.notification_delivery_channels (user_id, channel_type, channel_identifier)
             SELECT id, 'email', 'a@example.org' FROM auth.users ORDER BY id OFFSET 150 LIMIT 1`,
        );
        await work(place);
      }),
  },
  functions: { faults: replaced, slow: true, within: migrated },
  validation: {
    faults: validation,
    slow: true,
    within: backedUp,
  },
  moved: {
    faults: moved,
    within: (dumps, work) =>
      placed(
        dumps,
        async (place) => {
          const { engine, db, admin } = place;
          await provenBackup(engine, db, dumps, admin);
          await engine.move(await loadMigration("consents"), assumed);
          await work(place);
        },
        { modules },
      ),
  },
  criteria: {
    faults: criteria,
    within: (dumps, work) =>
      placed(
        dumps,
        async (place) => {
          const { admin } = place;
          await admin.query(
            "UPDATE feature_flags SET enabled = true, enabled_for_users = ARRAY(SELECT id FROM auth.users LIMIT 1) WHERE feature_name = 'fhir_integration'",
          );
          const today = await admin.query<{ day: string }>("SELECT current_date::text AS day");
          await withApplication((url) => {
            const { declared } = naming("/ok", "/fhir/metadata")({ ...place, url });
            const stack: Stack = {
              strict: true,
              accept: { performance: "a stack of a release before the gates" },
              declared: { ...place.stack.declared, ...declared, signOff: signed(today.rows[0]?.day ?? "") },
            };
            return work({ ...place, url, stack });
          });
        },
        { modules: ["000_audit_log", "001_feature_flags", "004_enhanced_consent"] },
      ),
  },
} as const satisfies Readonly<Record<string, Setting>>;
