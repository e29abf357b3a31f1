import { expect } from "chai";
import type { Client } from "pg";
import { readFlags, readSeed, resetFlag, writeFlag, type FlagValues } from "../../engine/flags";
import type { V6 } from "../support/postgres";
import { until, withEngine, type Engine } from "./module/harness";

export const flag = "fhir_integration";
export const user = "11111111-1111-4111-8111-111111111111";
export const other = "22222222-2222-4222-8222-222222222222";

/** A database with flags of module 001, and the one that the tests write. */
interface Flags {
  engine: Engine;
  db: V6;
  client: Client;
  seed: FlagValues;
  write: (wanted: Partial<FlagValues>, seen?: Partial<FlagValues>, acknowledged?: string) => Promise<void>;
  reset: () => Promise<void>;
  live: () => Promise<FlagValues>;
}

/** Runs a test on a database with the flags of module 001. */
export function withFlags(test: (flags: Flags) => Promise<void>): Promise<void> {
  const modules = ["000_audit_log", "001_feature_flags", "002_migration_tracking"];
  const work = async (engine: Engine, db: V6): Promise<void> => {
    const seed = (await engine.host.read(readSeed)).get(flag)!;
    const values = (some: Partial<FlagValues>): FlagValues => ({ ...seed, ...some });
    await test({
      engine,
      db,
      client: await db.connect(),
      seed,
      write: (wanted, seen, acknowledged) =>
        engine.write("FeatureFlag", flag, (fenced) =>
          writeFlag(fenced, flag, values(wanted), seen && values(seen), { acknowledge: acknowledged }),
        ),
      reset: () => engine.write("FeatureFlag", flag, (fenced) => resetFlag(fenced, flag)),
      live: async () => {
        const { description, ...owned } = (await engine.host.read(readFlags)).get(flag)!;
        expect(description).to.be.a("string");
        return owned;
      },
    });
  };
  return withEngine(work, { modules });
}

/** The flag for a tenth of all and two accounts. */
export const on = { enabled: true, rolloutPercentage: 10, enabledForUsers: [user, other] };
/** What somebody does to it by hand. */
export const byHand = "UPDATE public.feature_flags SET rollout_percentage = 77 WHERE feature_name = 'fhir_integration'";

/** Waits until a write of a flag waits for somebody's lock. */
export const writeWaits = (admin: Client): Promise<void> =>
  until(
    admin,
    `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE '%FeatureFlag%' AND datname = current_database()
       AND wait_event_type = 'Lock')`,
  );
