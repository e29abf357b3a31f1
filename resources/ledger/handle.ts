import { lazily } from "../../engine/lazy";
import { readPhysical, stackOf } from "../../engine/ledger/identity";
import { handler, ledgerSteps, type Kind } from "../handler";
import { ledgerSpec } from "./spec";

const kind: Kind<typeof ledgerSpec> = {
  spec: ledgerSpec,

  async plan(call, inputs) {
    const { ledger, here } = await call.host.whereabouts();
    if (!ledger) return {};
    lazily.ledgerOwner.refuseForeign(ledger, here, await ledgerSteps(call.host), stackOf(call.urn), inputs.adopt);
    return { ledgerId: ledger.ledgerId };
  },

  async create(_call, inputs, session) {
    const ledgerId = await lazily.ledgerOwner.openLedger(session, await readPhysical(session.writer), inputs.adopt);
    return { ledgerId };
  },

  async delete(_call, state, session) {
    await lazily.ledgerOwner.closeLedger(session, state.purge);
  },

  read: (_db, _call, _inputs, state) => Promise.resolve({ ledgerId: state.ledgerId }),
};

export const ledgerHandler = handler(kind);
