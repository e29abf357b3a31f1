import {
  describeAcknowledgement,
  readRollbacks,
  refuseUnacknowledged,
  unacknowledged,
  type EmergencyRollback,
} from "../../engine/emergency";
import { lazily } from "../../engine/lazy";
import { alteredFrom, describeRaise } from "../../engine/ledger/format";
import { isRenamed, readLedger, readPhysical, stackOf } from "../../engine/ledger/identity";
import { ledgerFormat, ledgerObjects } from "../../engine/ledger/schema";
import type { Changes } from "../../provider/diff";
import type { Inputs } from "../../spec";
import { emergencyRollbacks, ledgerSteps } from "../call";
import { publicationNotes, refuseOpenPublications } from "../publications";
import { handler, type Kind } from "../handler";
import { ledgerSpec } from "./spec";

const kind: Kind<typeof ledgerSpec> = {
  spec: ledgerSpec,

  adopts: (inputs) => inputs.adopt,

  async plan(call, inputs) {
    const { ledger, here } = await call.host.whereabouts();
    if (!ledger) {
      const notes = await call.host.read((db) => publicationNotes(db, inputs.publications ?? []));
      return { outputs: { format: ledgerFormat }, made: ledgerObjects, notes };
    }
    lazily.ledgerOwner.refuseForeign(ledger, here, await ledgerSteps(call.host), stackOf(call.urn), inputs.adopt);
    const rollbacks = await emergencyRollbacks(call.host);
    refuseSwitchingOn(rollbacks, inputs);
    const raise = describeRaise(ledger.format);
    const own = stackOf(call.urn);
    const told = [
      ledger.stack !== own && `takes over what the ledger has under ${ledger.stack}, as ${own}`,
      isRenamed(ledger, here) &&
        `takes over the name of the database: it was ${ledger.database}, and is ${here.database}`,
      raise && `${raise}; an older release of this product refuses it from then on`,
      describeAcknowledgement(rollbacks, inputs.acknowledge),
    ];
    return {
      outputs: { ledgerId: ledger.ledgerId, format: ledgerFormat },
      replaced: alteredFrom(ledger.format),
      notes: told.flatMap((text) => (!text ? [] : [{ severity: "info", text } as const])),
    };
  },

  async create(call, inputs, fenced) {
    const { adopt, publications = [] } = inputs;
    // Before anything is written: the ledger's own tables join a publication of all tables as every other does.
    if (!(await readLedger(fenced.writer))) await refuseOpenPublications(fenced.writer, publications);
    // Here, before anything is written: what switches on comes last, and would stop an up half way.
    const rollbacks = await readRollbacks(fenced.writer);
    refuseSwitchingOn(rollbacks, inputs);
    const told = describeAcknowledgement(rollbacks, inputs.acknowledge);
    if (told !== undefined) call.log.info(told);
    const here = await readPhysical(fenced.writer);
    const ledgerId = await lazily.ledgerOwner.openLedger(fenced, here, adopt, publications);
    return { ledgerId, format: ledgerFormat };
  },

  async delete(_call, state, fenced) {
    await lazily.purge.closeLedger(fenced, state.purge);
  },

  async read(db, _call, _inputs, state) {
    return { ledgerId: state.ledgerId, format: (await readLedger(db))?.format ?? ledgerFormat };
  },

  asked: ["switchesOn"],

  async drift(call, inputs) {
    const { ledger, here } = await call.host.whereabouts();
    const changes: Changes = new Map();
    if (!ledger) return changes;
    if (ledger.format < ledgerFormat) changes.set("format", "update");
    const elsewhere = ledger.stack !== stackOf(call.urn) || isRenamed(ledger, here);
    if (elsewhere && inputs.adopt === ledger.ledgerId) changes.set("adopt", "drift");
    // Not refused here: destroy and refresh compare too. The update that this makes is.
    const rollbacks = await emergencyRollbacks(call.host);
    if (inputs.switchesOn && unacknowledged(rollbacks, inputs.acknowledge)) changes.set("acknowledge", "drift");
    return changes;
  },
};

/** @throws GuardianError with the emergency rollback that waits to be acknowledged, where a flag is to be on */
function refuseSwitchingOn(rollbacks: readonly EmergencyRollback[], inputs: Inputs<typeof ledgerSpec>): void {
  if (inputs.switchesOn) refuseUnacknowledged(rollbacks, "flags of this stack", inputs.acknowledge);
}

export const ledgerHandler = handler(kind);
