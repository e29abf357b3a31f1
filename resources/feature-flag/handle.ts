import { GuardianError } from "../../engine/errors";
import {
  lastChange,
  readFlags,
  readSeed,
  refuseAfterRollback,
  resetFlag,
  sameFlag,
  unacknowledgedRollback,
  writeFlag,
  type FlagValues,
} from "../../engine/flags";
import type { Database } from "../../engine/database";
import type { Queryable } from "../../engine/sql";
import type { Changes } from "../../provider/diff";
import { handler, type Kind } from "../handler";
import type { Inputs, State } from "../spec";
import { featureFlagSpec } from "./spec";

type Spec = typeof featureFlagSpec;

const kind: Kind<Spec> = {
  spec: featureFlagSpec,

  check(args) {
    const failures = [];
    if (args.rolloutPercentage < 0 || args.rolloutPercentage > 100) {
      failures.push({ property: "rolloutPercentage", reason: "must be from 0 to 100" });
    }
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
    if (
      Array.isArray(args.enabledForUsers) &&
      !args.enabledForUsers.every((user) => typeof user !== "string" || uuid.test(user))
    ) {
      failures.push({ property: "enabledForUsers", reason: "every entry must be a uuid in lower case" });
    }
    return Promise.resolve({ computed: {}, failures });
  },

  async plan(call, inputs, state) {
    const live = (await allFlags(call.host)).get(inputs.flag);
    await call.host.read((db) => refuseAfterRollback(db, inputs.flag, wantedOf(inputs, {}), inputs.acknowledge));
    if (state && !live)
      throw new GuardianError({
        what: "the flag's row is gone",
        where: inputs.flag,
        todo: "put it back by feature_flag_seed()",
      });
    return live ? { configuration: live.configuration } : {};
  },

  async create(_call, inputs, session) {
    const configuration = await delivered(session.writer, inputs.flag);
    await writeFlag(session, inputs.flag, wantedOf(inputs, configuration), undefined, inputs.acknowledge);
    return { configuration };
  },

  async update(_call, inputs, state, session) {
    const configuration = await delivered(session.writer, inputs.flag);
    await writeFlag(
      session,
      inputs.flag,
      wantedOf(inputs, configuration),
      wantedOf(state, state.configuration),
      inputs.acknowledge,
    );
    return { configuration };
  },

  delete: (_call, state, session) => resetFlag(session, state.flag),

  async read(db, _call, inputs, state) {
    const live = (await readFlags(db)).get(inputs.flag);
    if (!live)
      throw new GuardianError({
        what: "the flag's row is gone; somebody deleted it by hand",
        where: inputs.flag,
        todo: "put it back by feature_flag_seed()",
      });
    const { configuration, ...values } = live;
    // The state takes the live values, so that the refresh shows them; the inputs stay the program's.
    return { ...pick(state), ...values, configuration };
  },

  async drift(call, _inputs, state) {
    const changes: Changes = new Map();
    const live = (await allFlags(call.host)).get(state.flag);
    if (live && sameFlag(live, wantedOf(state, state.configuration))) return changes;
    const why = await call.host.read(async (db) => {
      const rollback = await unacknowledgedRollback(db, state.acknowledge);
      return rollback ? `emergency rollback, session ${rollback}` : `changed ${await lastChange(db, state.flag)}`;
    });
    call.log.warn(`drift: flag ${state.flag} is not what this stack wrote; ${why}`);
    if (live?.enabled !== state.enabled) changes.set("enabled", "update");
    if (live?.rolloutPercentage !== state.rolloutPercentage) changes.set("rolloutPercentage", "update");
    if (changes.size === 0) changes.set("enabledForUsers", "update");
    return changes;
  },
};

export const featureFlagHandler = handler(kind);

function allFlags(host: Database): Promise<Map<string, FlagValues>> {
  return host.cached("flags", readFlags);
}

async function delivered(db: Queryable, flag: string): Promise<Record<string, unknown>> {
  const seed = (await readSeed(db)).get(flag);
  if (seed) return seed.configuration;
  throw new GuardianError({
    what: `module 001_feature_flags delivers no flag ${flag}`,
    where: "feature_flag_seed()",
    todo: "check the name",
  });
}

function wantedOf(
  values: Pick<Inputs<Spec>, "enabled" | "rolloutPercentage" | "enabledForUsers">,
  configuration: Record<string, unknown>,
): FlagValues {
  const { enabled, rolloutPercentage, enabledForUsers } = values;
  return { enabled, rolloutPercentage, enabledForUsers, configuration };
}

function pick(state: State<Spec>): Pick<State<Spec>, "configuration"> {
  return { configuration: state.configuration };
}
