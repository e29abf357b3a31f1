import { GuardianError } from "../../engine/base/errors";
import {
  openMigrationSession,
  readMigrationSession,
  rollBackMigrationSession,
  type MigrationSessionRow,
} from "../../engine/migration-session";
import { lazily } from "../../engine/lazy";
import { deadline } from "../call";
import { handler, type Kind } from "../handler";
import { comesAfter, goesBack } from "../way-back";
import { migrationSessionSpec } from "./spec";

const outputs = (row: MigrationSessionRow): { sessionId: string; initiatedBy: string } => ({
  sessionId: row.id,
  initiatedBy: row.initiatedBy,
});

const kind: Kind<typeof migrationSessionSpec> = {
  spec: migrationSessionSpec,

  /** An update keeps the row. */
  async plan(call, inputs, state) {
    const relation = "public.migration_sessions";
    if (!state) return { rows: [{ action: "insert", relation, rows: 1 }] };
    const left = await call.host.read((db) => lazily.move.abandoned(db, inputs.migrations));
    const told = left.map((name) => `data migration ${name} was cut off: what it wrote will be taken back`);
    return {
      outputs: { sessionId: state.sessionId, initiatedBy: state.initiatedBy },
      rows: [{ action: "update", relation, rows: 1 }],
      notes: told.map((text) => ({ severity: "info", text }) as const),
    };
  },

  async create(call, inputs, fenced) {
    const row = await openMigrationSession(fenced, inputs);
    // Killed before its state was saved: nothing else would take it back while its table stays.
    await lazily.move.takeBackAbandoned(fenced, deadline(call), inputs.migrations);
    return outputs(row);
  },

  asked: ["through"],

  async update(call, inputs, state, fenced) {
    const { sessionId, initiatedBy } = state;
    // Of a gate that failed Pulumi's state has nothing: with its stage it ends here.
    if (inputs.through) await lazily.gates.endForsaken(fenced, comesAfter(call, inputs.through));
    if (!(await readMigrationSession(fenced.writer, call.urn)) && (await goesBack(call, inputs.through))) {
      call.log.warn("drift: the session's row was deleted by hand; left so while later stages go");
      return { sessionId, initiatedBy };
    }
    return kind.create(call, inputs, fenced);
  },

  delete: (_call, _state, fenced) => rollBackMigrationSession(fenced),

  async read(db, call) {
    const row = await readMigrationSession(db, call.urn);
    if (row) return outputs(row);
    throw new GuardianError("session-row-missing", {
      what: "the session's row is gone from public.migration_sessions; somebody deleted it by hand",
      where: call.name,
      todo: "put it back from the backup; the ledger knows its id",
    });
  },
};

export const migrationSessionHandler = handler(kind);
