import { GuardianError } from "../../engine/errors";
import { lazily } from "../../engine/lazy";
import type { Moved } from "../../engine/migrate/move";
import { requireBackup } from "../backup/guard";
import { handler, type Kind } from "../handler";
import { dataMigrationSpec } from "./spec";

const outputs = (moved: Moved): { sourceRows: number; writtenRows: number } => ({
  sourceRows: Number(moved.source),
  writtenRows: Number(moved.written),
});

const kind: Kind<typeof dataMigrationSpec> = {
  spec: dataMigrationSpec,

  sources: (args) => [`data/${args.migration}`],

  async check(args) {
    const { title, meaning, target } = await lazily.migrations.loadMigration(args.migration);
    return { computed: { title, meaning, target } };
  },

  async plan(call, inputs, state) {
    const migration = await lazily.migrations.loadMigration(inputs.migration);
    if (state) {
      if (state.meaning !== inputs.meaning) throw changed(inputs.migration, state.meaning, inputs.meaning);
      if (JSON.stringify(state.parameters) !== JSON.stringify(inputs.parameters))
        throw otherParameters(inputs.migration);
      return outputs({ source: BigInt(state.sourceRows), written: BigInt(state.writtenRows) });
    }
    const planned = await call.host.read((db) => lazily.move.planMove(db, migration, inputs.parameters));
    if (planned)
      call.log.info(`will write ${planned.written} rows into ${migration.target}, of ${planned.source} that v6 offers`);
    return {};
  },

  async create(call, inputs, session) {
    const migration = await lazily.migrations.loadMigration(inputs.migration);
    await requireBackup(session.writer, call.urn, migration.name, migration.meaning);
    const moved = await lazily.move.moveRows(session, migration, inputs.parameters);
    call.log.info(`${moved.written} rows written into ${migration.target}, of ${moved.source} that v6 offered`);
    return outputs(moved);
  },

  async update(_call, inputs, state, session) {
    const migration = await lazily.migrations.loadMigration(inputs.migration);
    if (state.meaning !== migration.meaning) throw changed(inputs.migration, state.meaning, migration.meaning);
    if (JSON.stringify(state.parameters) !== JSON.stringify(inputs.parameters)) throw otherParameters(inputs.migration);
    return outputs(await lazily.move.moveRows(session, migration, inputs.parameters));
  },

  async delete(call, state, session) {
    const { removed, kept } = await lazily.move.takeBackRows(session);
    call.log.info(
      `rows taken back from ${state.target}: ${removed}; left there, because somebody changed or refers to them: ${kept}`,
    );
  },

  read: async (db, call) => outputs(await lazily.move.readMoved(db, call.urn)),
};

export const dataMigrationHandler = handler(kind);

function changed(name: string, before: string, now: string): GuardianError {
  return new GuardianError({
    what: `the SQL of data migration ${name} changed after it had run`,
    where: `ran as ${before}, is now ${now}`,
    todo: [
      `restore sql/data/${name} as it ran`,
      "roll the data stage back first (guardian:through schema, up), then raise it again",
    ],
  });
}

function otherParameters(name: string): GuardianError {
  return new GuardianError({
    what: `the parameters of data migration ${name} changed after it had run; rows that are written are not rewritten`,
    where: "guardian:legacyConsent",
    todo: ["set them back", "roll the data stage back first (guardian:through schema, up), then raise it again"],
  });
}
