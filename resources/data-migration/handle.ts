import { GuardianError } from "../../engine/errors";
import { loadMigration } from "../../engine/migrate/definition";
import { migrationKind, moveRows, planMove, readMoved, takeBackRows, type Moved } from "../../engine/migrate/move";
import { requireBackup } from "../backup/guard";
import { handler, type Kind } from "../handler";
import { dataMigrationSpec } from "./spec";

const outputs = (moved: Moved): { sourceRows: number; writtenRows: number } => ({
  sourceRows: Number(moved.source),
  writtenRows: Number(moved.written),
});

const kind: Kind<typeof dataMigrationSpec> = {
  spec: dataMigrationSpec,

  async check(args) {
    const { title, meaning, target } = await loadMigration(args.migration);
    return { computed: { title, meaning, target } };
  },

  async plan(call, inputs, state) {
    const migration = await loadMigration(inputs.migration);
    if (state) {
      if (state.meaning !== inputs.meaning) throw changed(inputs.migration, state.meaning, inputs.meaning);
      if (JSON.stringify(state.parameters) !== JSON.stringify(inputs.parameters))
        throw otherParameters(inputs.migration);
      return outputs({ source: BigInt(state.sourceRows), written: BigInt(state.writtenRows) });
    }
    const planned = await call.host.read((db) => planMove(db, migration, inputs.parameters));
    if (planned)
      call.log.info(`will write ${planned.written} rows into ${migration.target}, of ${planned.source} that v6 offers`);
    return {};
  },

  async create(call, inputs, session) {
    const migration = await loadMigration(inputs.migration);
    await requireBackup(session.writer, call.urn, migration.name, migration.meaning);
    const moved = await moveRows(session, migration, inputs.parameters);
    call.log.info(`${moved.written} rows written into ${migration.target}, of ${moved.source} that v6 offered`);
    return outputs(moved);
  },

  async update(_call, inputs, state, session) {
    const migration = await loadMigration(inputs.migration);
    if (state.meaning !== migration.meaning) throw changed(inputs.migration, state.meaning, migration.meaning);
    if (JSON.stringify(state.parameters) !== JSON.stringify(inputs.parameters)) throw otherParameters(inputs.migration);
    return outputs(await moveRows(session, migration, inputs.parameters));
  },

  async delete(call, state, session) {
    const { removed, kept } = await takeBackRows(session);
    call.log.info(
      `${removed} rows taken back from ${state.target}; ${kept} stay: somebody changed them, or refers to them`,
    );
  },

  read: async (db, call) => outputs(await readMoved(db, call.urn)),
};

export const dataMigrationHandler = handler(kind);

function changed(name: string, before: string, now: string): GuardianError {
  return new GuardianError({
    what: `the SQL of data migration ${name} changed after it had run`,
    where: `ran as ${before}, is now ${now}`,
    todo: [
      `restore sql/data/${name} as it ran`,
      "or roll the data stage back first (guardian:through schema, up), then raise it again",
    ],
  });
}

function otherParameters(name: string): GuardianError {
  return new GuardianError({
    what: `the parameters of data migration ${name} changed after it had run; rows that are written are not rewritten`,
    where: "guardian:legacyConsent",
    todo: ["set them back", "or roll the data stage back first (guardian:through schema, up), then raise it again"],
  });
}

export { migrationKind };
