import { lazily } from "../../engine/lazy";
import { alteredFrom, describeRaise } from "../../engine/ledger/format";
import { readLedger, readPhysical, stackOf } from "../../engine/ledger/identity";
import { ledgerFormat, ledgerObjects } from "../../engine/ledger/schema";
import { ledgerSteps } from "../call";
import { handler, type Kind } from "../handler";
import { ledgerSpec } from "./spec";

const kind: Kind<typeof ledgerSpec> = {
  spec: ledgerSpec,

  async plan(call, inputs) {
    const { ledger, here } = await call.host.whereabouts();
    if (!ledger) return { outputs: { format: ledgerFormat }, made: ledgerObjects };
    lazily.ledgerOwner.refuseForeign(ledger, here, await ledgerSteps(call.host), stackOf(call.urn), inputs.adopt);
    const raise = describeRaise(ledger.format);
    const told = `${raise}; an older release of this product refuses it from then on`;
    return {
      outputs: { ledgerId: ledger.ledgerId, format: ledgerFormat },
      replaced: alteredFrom(ledger.format),
      notes: raise === undefined ? [] : [{ severity: "info", text: told }],
    };
  },

  async create(_call, inputs, fenced) {
    const ledgerId = await lazily.ledgerOwner.openLedger(fenced, await readPhysical(fenced.writer), inputs.adopt);
    return { ledgerId, format: ledgerFormat };
  },

  async delete(_call, state, fenced) {
    await lazily.purge.closeLedger(fenced, state.purge);
  },

  async read(db, _call, _inputs, state) {
    return { ledgerId: state.ledgerId, format: (await readLedger(db))?.format ?? ledgerFormat };
  },

  async drift(call) {
    const { ledger } = await call.host.whereabouts();
    return new Map(ledger && ledger.format < ledgerFormat ? [["format", "update"]] : []);
  },
};

export const ledgerHandler = handler(kind);
