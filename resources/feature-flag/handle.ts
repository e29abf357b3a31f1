import { isDeepStrictEqual } from "node:util";
import { GuardianError } from "../../engine/base/errors";
import {
  flagGone,
  lastChange,
  leftByRollback,
  readFlags,
  readSeed,
  refuseUnseen,
  resetFlag,
  sameFlag,
  writeFlag,
  type FlagValues,
} from "../../engine/flags";
import type { Database } from "../../engine/database";
import { covered, refuseUnacknowledged, waiting } from "../../engine/emergency";
import { exists, type Queryable } from "../../engine/base/sql";
import type { Changes } from "../../provider/diff";
import { emergencyRollbacks, mainStep } from "../call";
import { handler, type Kind } from "../handler";
import type { Inputs, State } from "../../spec";
import { featureFlagSpec } from "./spec";

type Spec = typeof featureFlagSpec;

const relation = "public.feature_flags";

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
    const rollbacks = await emergencyRollbacks(call.host);
    if (inputs.enabled) refuseUnacknowledged(rollbacks, `flag ${inputs.flag}`, inputs.acknowledge);
    if (state && !live) throw flagGone(inputs.flag);
    if (!live) return {};
    const wanted = wantedOf(inputs, await deliveredNow(call.host, inputs.flag, live));
    const last = await mainStep(call);
    await call.host.read(async (db) => {
      const left = await leftByRollback(db, rollbacks, last, inputs.acknowledge);
      const seen = state && wantedOf(state, state.configuration);
      await refuseUnseen(db, inputs.flag, live, [wanted, seen, left], last);
    });
    const before = `before: ${live.enabled ? "on" : "off"} for ${live.rolloutPercentage} %`;
    return {
      outputs: { configuration: wanted.configuration },
      rows: sameFlag(live, wanted) ? [] : [{ action: "update", relation, rows: 1 }],
      notes: [{ severity: "info", text: before }],
    };
  },

  async create(_call, inputs, fenced) {
    const configuration = await delivered(fenced.writer, inputs.flag);
    await writeFlag(fenced, inputs.flag, wantedOf(inputs, configuration), undefined, inputs.acknowledge);
    return { configuration };
  },

  async update(_call, inputs, state, fenced) {
    const configuration = await delivered(fenced.writer, inputs.flag);
    await writeFlag(
      fenced,
      inputs.flag,
      wantedOf(inputs, configuration),
      wantedOf(state, state.configuration),
      inputs.acknowledge,
    );
    return { configuration };
  },

  delete: (_call, state, fenced) => resetFlag(fenced, state.flag),

  async read(db, _call, inputs, state) {
    const live = (await readFlags(db)).get(inputs.flag);
    if (!live) throw flagGone(inputs.flag);
    const { configuration, ...values } = live;
    // The state takes the live values, so that the refresh shows them; the inputs stay the program's.
    return { ...pick(state), ...values, configuration };
  },

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    const rollbacks = await emergencyRollbacks(call.host);
    // The ledger is told of it, so that the id may go from the program.
    if (covered(rollbacks, inputs.acknowledge).length > 0) changes.set("acknowledge", "drift");
    const told = changes.size;
    const live = (await allFlags(call.host)).get(state.flag);
    if (!live || !sameFlag(live, wantedOf(state, state.configuration))) {
      const [newest] = waiting(rollbacks);
      const why = newest
        ? `emergency rollback, session ${newest.id}`
        : `changed ${await call.host.read((db) => lastChange(db, state.flag))}`;
      call.log.warn(`drift: flag ${state.flag} is not what this stack wrote; ${why}`);
    }
    // Against the program and not the state: after a refresh the state says what is there, and up must still act.
    const wanted = wantedOf(inputs, live ? await deliveredNow(call.host, state.flag, live) : {});
    if (live && sameFlag(live, wanted)) return changes;
    if (live?.enabled !== wanted.enabled) changes.set("enabled", "drift");
    if (live?.rolloutPercentage !== wanted.rolloutPercentage) changes.set("rolloutPercentage", "drift");
    if (live && !isDeepStrictEqual(live.configuration, wanted.configuration)) changes.set("configuration", "drift");
    if (changes.size === told) changes.set("enabledForUsers", "drift");
    return changes;
  },
};

export const featureFlagHandler = handler(kind);

function allFlags(host: Database): Promise<Map<string, FlagValues>> {
  return host.cached("flags", readFlags);
}

/** What up writes as the configuration; what is there, where somebody dropped the function that would say it. */
async function deliveredNow(host: Database, flag: string, live: FlagValues): Promise<Record<string, unknown>> {
  const seed = await host.cached("flag seed", async (db) =>
    (await exists(db, "public.feature_flag_seed()")) ? readSeed(db) : new Map<string, FlagValues>(),
  );
  return seed.get(flag)?.configuration ?? live.configuration;
}

async function delivered(db: Queryable, flag: string): Promise<Record<string, unknown>> {
  const seed = (await readSeed(db)).get(flag);
  if (seed) return seed.configuration;
  throw new GuardianError("name-unknown", {
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
