import { requireBackup } from "../../engine/backup/step/policy";
import type { FencedWriter } from "../../engine/database";
import { GuardianError } from "../../engine/base/errors";
import { requireGates } from "../../engine/gates/passed";
import { lazily } from "../../engine/lazy";
import { readRejects, rejectTable } from "../../engine/ledger/rejects";
import { readStep, type Step } from "../../engine/ledger/steps";
import type { Moved } from "../../engine/migrate";
import { deadline, mainStep, type DatabaseCall } from "../call";
import { handler, type Kind } from "../handler";
import type { Inputs, State } from "../../spec";
import { leftOutText } from "../sentences";
import { seeAdded } from "../way-back";
import { dataMigrationSpec } from "./spec";

type Spec = typeof dataMigrationSpec;
type Outputs = Pick<State<Spec>, "sourceRows" | "writtenRows" | "rejectedRows" | "checksum">;

const outputs = ({ source, written, rejected, checksum }: Moved): Outputs => ({
  sourceRows: Number(source),
  writtenRows: Number(written),
  rejectedRows: Number(rejected),
  checksum,
});

const kind: Kind<Spec> = {
  spec: dataMigrationSpec,

  sources: (args) => [`data/${args.migration}`],

  async check(args) {
    const { title, meaning, target, sources } = await lazily.migrations.loadMigration(args.migration);
    const locks = lazily.migrations.followed(sources.flatMap((source) => source.follows));
    return { computed: { title, meaning, target, locks } };
  },

  async plan(call, inputs, state) {
    const migration = await lazily.migrations.loadMigration(inputs.migration);
    const step = await mainStep(call);
    if (state) refuseChange(inputs, state, step);
    if (step?.state === "done") return {};
    const { written, source, leftOut } = await call.host.read((db) =>
      lazily.move.planMove(db, migration, inputs.parameters),
    );
    const holdMs = call.host.parameters.lockHold;
    const modes = ["SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"] as const;
    return {
      rows: [{ action: "insert", relation: migration.target, rows: Number(written), of: Number(source), leftOut }],
      locks: modes.flatMap((mode) => inputs.locks.map((relation) => ({ relation, mode, holdMs }))),
      notes: [
        { severity: "info", text: "triggers on these tables note what v6 changes, until the last rows are moved" },
      ],
    };
  },

  asked: ["behind"],

  async create(call, inputs, fenced) {
    return move(call, inputs, fenced);
  },

  async update(call, inputs, state, fenced) {
    refuseChange(inputs, state, await readStep(fenced.writer, call.urn));
    return move(call, inputs, fenced);
  },

  async delete(call, state, fenced) {
    const { removed, kept } = await lazily.move.takeBackRows(fenced, deadline(call));
    call.log.info(
      `rows taken back from ${state.target}: ${removed}; left there because somebody changed or refers to them, or gone with their account: ${kept}`,
    );
  },

  read: async (db, call) => outputs(await lazily.move.readMoved(db, call.urn)),
};

export const dataMigrationHandler = handler(kind);

async function move(call: DatabaseCall, inputs: Inputs<Spec>, fenced: FencedWriter): Promise<Outputs> {
  const migration = await lazily.migrations.loadMigration(inputs.migration);
  const { name, meaning } = migration;
  // Of what is done nothing is moved any more: a backup that was taken since, for what leaves, is proven by nobody.
  if ((await readStep(fenced.writer, call.urn))?.state !== "done") {
    await requireGates(fenced.writer, call.urn, inputs.behind, { [name]: meaning });
    seeAdded(call);
    await requireBackup(fenced.writer, call.urn, name, meaning);
  }
  const { maxDataLoss } = inputs;
  const options = { deadline: deadline(call), maxDataLoss, onWarning: call.log.warn };
  const moved = await lazily.move.moveRows(fenced, migration, inputs.parameters, options);
  call.log.info(`${moved.written} rows written into ${migration.target}, of ${moved.source} that v6 offered`);
  const leftOut = leftOutText(moved.leftOut);
  if (leftOut !== "") call.log.info(leftOut);
  for (const [what, n] of Object.entries(moved.counted)) call.log.info(`${what.replaceAll("_", " ")}: ${n} rows`);
  for (const { rows, sqlstate, object } of await readRejects(fenced.writer, call.urn)) {
    const by = object ? ` by ${object}` : "";
    call.log.warn(
      `${rows} rows could not be moved: refused${by} (SQLSTATE ${sqlstate}); their keys: SELECT key FROM ${rejectTable}`,
    );
  }
  return outputs(moved);
}

/**
 * @param step of the ledger: one that was taken back has no rows, though the run that did so was cut off before it told the state
 * @throws GuardianError if what it does changed after it had run: rows that are written are not rewritten
 */
function refuseChange(inputs: Inputs<Spec>, state: State<Spec>, step: Step | undefined): void {
  if (step?.state === "undone") return;
  const again = "roll the data stage back first (guardian:through schema, up), then raise it again";
  if (state.meaning !== inputs.meaning) {
    throw new GuardianError("migration-changed", {
      what: `the SQL of data migration ${inputs.migration} changed after it had run`,
      where: `ran as ${state.meaning}, is now ${inputs.meaning}`,
      todo: [`restore sql/data/${inputs.migration} as it ran`, again],
    });
  }
  if (JSON.stringify(state.parameters) !== JSON.stringify(inputs.parameters)) {
    throw new GuardianError("migration-changed", {
      what: `the parameters of data migration ${inputs.migration} changed after it had run; rows that are written are not rewritten`,
      where: "guardian:legacyConsent",
      todo: ["set them back", again],
    });
  }
}
