import { requireGates } from "../../engine/gates/passed";
import { readStep } from "../../engine/ledger/steps";
import { completionMissing, setCompletion } from "../../engine/migration-session";
import type { Changes } from "../../provider/diff";
import { handler, type Kind } from "../handler";
import { sessionCompletionSpec } from "./spec";

const kind: Kind<typeof sessionCompletionSpec> = {
  spec: sessionCompletionSpec,

  plan: () => Promise.resolve({ rows: [{ action: "update", relation: "public.migration_sessions", rows: 1 }] }),

  asked: ["behind"],

  async create(call, { behind }, fenced) {
    if ((await readStep(fenced.writer, call.urn))?.state !== "done")
      await requireGates(fenced.writer, call.urn, behind);
    await setCompletion(fenced, true);
    return {};
  },

  delete: (_call, _state, fenced) => setCompletion(fenced, false),

  /** The row may have been held by somebody when the last up wrote it: what the ledger says is put there again. */
  drift: async (call, inputs): Promise<Changes> =>
    (await call.host.read((db) => completionMissing(db, inputs.sessionId)))
      ? new Map([["ledgerId", "drift"]])
      : new Map(),

  read: () => Promise.resolve({}),
};

export const sessionCompletionHandler = handler(kind);
