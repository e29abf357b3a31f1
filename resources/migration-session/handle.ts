import { GuardianError } from "../../engine/errors";
import { openSession, readSession, rollBackSession, setTotalSteps, type SessionRow } from "../../engine/session";
import { handler, type Kind } from "../handler";
import { migrationSessionSpec } from "./spec";

const outputs = (row: SessionRow): { sessionId: string; initiatedBy: string } => ({
  sessionId: row.id,
  initiatedBy: row.initiatedBy,
});

const kind: Kind<typeof migrationSessionSpec> = {
  spec: migrationSessionSpec,

  /** An update keeps the row. */
  plan: (_call, _inputs, state) =>
    Promise.resolve(state ? { sessionId: state.sessionId, initiatedBy: state.initiatedBy } : {}),

  create: async (_call, inputs, session) => outputs(await openSession(session, inputs)),

  async update(_call, inputs, _state, session) {
    const row = await openSession(session, inputs);
    await setTotalSteps(session, inputs.totalSteps);
    return outputs(row);
  },

  delete: (_call, _state, session) => rollBackSession(session),

  async read(db, call) {
    const row = await readSession(db, call.urn);
    if (row) return outputs(row);
    throw new GuardianError({
      what: "the session's row is gone from public.migration_sessions; somebody deleted it by hand",
      where: call.name,
      todo: "put it back from the backup; the ledger knows its id",
    });
  },
};

export const migrationSessionHandler = handler(kind);
