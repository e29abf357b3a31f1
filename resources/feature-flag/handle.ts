import { isDeepStrictEqual } from "node:util";
import { GuardianError } from "../../engine/base/errors";
import { flagGone, lastChange } from "../../engine/flag-refusals";
import {
  lastWritten,
  leftByRollback,
  readFlags,
  readGrantedSeed,
  readSeed,
  refuseTaken,
  refuseUnseen,
  resetFlag,
  sameFlag,
  writeFlag,
  type FlagValues,
} from "../../engine/flags";
import type { Database } from "../../engine/database";
import { covered, readRollbacks, refuseUnacknowledged, waiting, type EmergencyRollback } from "../../engine/emergency";
import type { Note } from "../../engine/base/plan";
import { type Queryable } from "../../engine/base/sql";
import { heldBack } from "../../engine/gates/held";
import type { Changes } from "../../provider/diff";
import type { Step } from "../../engine/ledger/steps";
import { emergencyRollbacks, ledgerSteps, mainStep, type DatabaseCall } from "../call";
import { flagName } from "../../config/flags";
import { seeFlagAhead } from "../flags-ahead";
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
    if (args.description !== undefined && typeof args.flag === "string" && !flagName.test(args.flag)) {
      failures.push({ property: "flag", reason: "must be 2 to 63 small letters, digits and _, a letter first" });
    }
    return Promise.resolve({ computed: {}, failures });
  },

  async plan(call, inputs, state) {
    seeFlagAhead(call);
    const live = (await allFlags(call.host)).get(inputs.flag);
    const rollbacks = await emergencyRollbacks(call.host);
    if (inputs.enabled) refuseUnacknowledged(rollbacks, `flag ${inputs.flag}`, inputs.acknowledge);
    if (state && !live) throw flagGone(inputs.flag, isDeclared(inputs));
    const { acknowledge } = inputs;
    const held = heldBack(await ledgerSteps(call.host), rollbacks, {
      urn: call.urn,
      live,
      wanted: inputs,
      acknowledge,
    });
    // A gate's word fails no preview: what else is to come is shown too.
    const stops: Note[] = held ? [{ severity: "warning", text: `up will stop here: ${held.message}` }] : [];
    if (!live && isDeclared(inputs))
      return {
        outputs: { configuration: {} },
        rows: [{ action: "insert", relation, rows: 1 }],
        notes: stops,
        anew: true,
      };
    if (!live) return { notes: stops };
    const last = await mainStep(call);
    const wanted = wantedOf(inputs, await deliveredNow(call.host, inputs, live, last));
    await call.host.read(async (db) => {
      if (isDeclared(inputs)) await refuseTaken(db, inputs.flag, last);
      const left = await leftByRollback(db, rollbacks, last, inputs.acknowledge);
      const seen = state && wantedOf(state, state.configuration);
      await refuseUnseen(db, inputs.flag, live, [wanted, seen, left], last);
    });
    const before = `before: ${live.enabled ? "on" : "off"} for ${live.rolloutPercentage} %`;
    return {
      outputs: { configuration: wanted.configuration },
      rows: sameFlag(live, wanted) ? [] : [{ action: "update", relation, rows: 1 }],
      notes: [...stops, { severity: "info", text: before }],
    };
  },

  asked: ["behind"],

  async create(_call, inputs, fenced) {
    const configuration = await delivered(fenced.writer, inputs);
    await writeFlag(fenced, inputs.flag, wantedOf(inputs, configuration), undefined, inputs);
    return { configuration };
  },

  async update(_call, inputs, state, fenced) {
    const configuration = await delivered(fenced.writer, inputs);
    await writeFlag(fenced, inputs.flag, wantedOf(inputs, configuration), wantedOf(state, state.configuration), inputs);
    return { configuration };
  },

  delete: (_call, state, fenced) => resetFlag(fenced, state.flag),

  async read(db, call, inputs, state) {
    const live = (await readFlags(db)).get(inputs.flag);
    if (!live && !isDeclared(inputs)) throw flagGone(inputs.flag, false);
    if (!live) {
      call.log.warn(`drift: the row of flag ${inputs.flag} is gone; changed ${await lastChange(db, inputs.flag)}`);
      return undefined;
    }
    if (!sameFlag(live, wantedOf(state, state.configuration)))
      await tellDrift(db, call, await readRollbacks(db), inputs.flag);
    const { configuration, description, ...values } = live;
    const described = isDeclared(inputs) ? { description } : {};
    // The state takes the live values, so that the refresh shows them; the inputs stay the program's.
    return { ...pick(state), ...values, ...described, configuration };
  },

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    const rollbacks = await emergencyRollbacks(call.host);
    // The ledger is told of it, so that the id may go from the program.
    if (covered(rollbacks, inputs.acknowledge).length > 0) changes.set("acknowledge", "drift");
    const told = changes.size;
    const live = (await allFlags(call.host)).get(state.flag);
    if (!live || !sameFlag(live, wantedOf(state, state.configuration)))
      await call.host.read((db) => tellDrift(db, call, rollbacks, state.flag));
    // Against the program and not the state: after a refresh the state says what is there, and up must still act.
    const wanted = wantedOf(inputs, live ? await deliveredNow(call.host, inputs, live, await mainStep(call)) : {});
    if (live && sameFlag(live, wanted)) return changes;
    if (live?.enabled !== wanted.enabled) changes.set("enabled", "drift");
    if (live?.rolloutPercentage !== wanted.rolloutPercentage) changes.set("rolloutPercentage", "drift");
    if (live && !isDeepStrictEqual(live.configuration, wanted.configuration)) changes.set("configuration", "drift");
    if (live && isDeclared(inputs) && live.description !== wanted.description) changes.set("description", "drift");
    if (changes.size === told) changes.set("enabledForUsers", "drift");
    return changes;
  },
};

export const featureFlagHandler = handler(kind);

/** Says that a flag was changed in the database, and by what or whom. */
async function tellDrift(
  db: Queryable,
  call: DatabaseCall,
  rollbacks: readonly EmergencyRollback[],
  flag: string,
): Promise<void> {
  const [newest] = waiting(rollbacks);
  const why = newest ? `emergency rollback, session ${newest.id}` : `changed ${await lastChange(db, flag)}`;
  call.log.warn(`drift: flag ${flag} is not what this stack wrote; ${why}`);
}

function allFlags(host: Database): Promise<Map<string, FlagValues>> {
  return host.cached("flags", readFlags);
}

/** Whether the stack declares the flag itself. */
const isDeclared = (inputs: Pick<Inputs<Spec>, "description">): boolean => inputs.description !== undefined;

/** What up writes as the configuration; to whom that is not told what up wrote last, or what is there. */
async function deliveredNow(
  host: Database,
  inputs: Inputs<Spec>,
  live: FlagValues,
  last: Step | undefined,
): Promise<Record<string, unknown>> {
  if (isDeclared(inputs)) return {};
  const seed = await host.cached("flag seed", readGrantedSeed);
  return (seed ? seed.get(inputs.flag) : lastWritten(last))?.configuration ?? live.configuration;
}

async function delivered(db: Queryable, inputs: Inputs<Spec>): Promise<Record<string, unknown>> {
  if (isDeclared(inputs)) return {};
  const { flag } = inputs;
  const seed = (await readSeed(db)).get(flag);
  if (seed) return seed.configuration;
  throw new GuardianError("name-unknown", {
    what: `module 001_feature_flags delivers no flag ${flag}`,
    where: "feature_flag_seed()",
    todo: "check the name",
  });
}

function wantedOf(
  values: Pick<Inputs<Spec>, "enabled" | "rolloutPercentage" | "enabledForUsers" | "description">,
  configuration: Record<string, unknown>,
): FlagValues {
  const { enabled, rolloutPercentage, enabledForUsers, description } = values;
  const described = description === undefined ? {} : { description };
  return { enabled, rolloutPercentage, enabledForUsers, configuration, ...described };
}

function pick(state: State<Spec>): Pick<State<Spec>, "configuration"> {
  return { configuration: state.configuration };
}
