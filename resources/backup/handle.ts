import { hash } from "../../engine/base/hash";
import { isAwaited, isOutdated, needsProof, needsStoring, readTaken, takenOf } from "../../engine/backup/step/policy";
import type { FencedWriter } from "../../engine/database";
import { lazily } from "../../engine/lazy";
import { endParts, readStep, readSteps, setStep } from "../../engine/ledger/steps";
import type { Changes } from "../../provider/diff";
import type { Inputs, State } from "../../spec";
import { backupLine, proofLine, provenText, storeLine } from "../sentences";
import { ledgerSteps, type DatabaseCall } from "../call";
import { handler, type Kind } from "../handler";
import { seeAdded } from "../way-back";
import { backupSpec } from "./spec";

type Spec = typeof backupSpec;

const kind: Kind<Spec> = {
  spec: backupSpec,

  sources: (args) => [...args.modules, ...args.migrations.map((name) => `data/${name}`)],

  async check(args) {
    const modules = await Promise.all(args.modules.map((name) => lazily.modules.loadModule(name)));
    const migrations = await Promise.all(args.migrations.map((name) => lazily.migrations.loadMigration(name)));
    const protects = Object.fromEntries([...modules, ...migrations].map(({ name, meaning }) => [name, meaning]));
    return { computed: { protects } };
  },

  async plan(call, inputs, state) {
    const [server, steps] = [await call.host.server(), await ledgerSteps(call.host)];
    const about = { server, where: call.host.settings.toString(), urn: call.urn, steps, env: process.env };
    const notes = await call.host.read((db) => lazily.backup.planBackup(db, inputs, about));
    // Known beforehand on the way back, so that preview shows no other snapshot of RDS.
    const stays = state?.covers !== undefined && !isAwaited(steps, call.urn, inputs.protects);
    return { notes, ...(stays ? { outputs: { covers: state.covers } } : {}) };
  },

  create: (call, inputs, fenced) => take(call, inputs, undefined, fenced),
  update: take,

  async delete(call, state, fenced) {
    const current = await readStep(fenced.writer, call.urn);
    if (!current || current.state === "undone") return;
    await fenced.transaction(async (db) => {
      await setStep(db, current, { state: "undone" });
      await endParts(db, call.urn);
    });
    call.log.info(`the backup's files stay: ${takenOf([current], call.urn).path || state.path}`);
  },

  async read(db, call, inputs, state) {
    const taken = await readTaken(db, call.urn);
    return { ...taken, covers: state.covers || coverOf(inputs, taken.takenAt) };
  },

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    const steps = await ledgerSteps(call.host);
    if (isOutdated(steps, call.urn, inputs, takenOf(steps, call.urn))) changes.set("takenAt", "drift");
    // A state of a release that proved nothing, or named no snapshots, does not have it.
    else if (needsProof(steps, call.urn, inputs) || !("proof" in state)) changes.set("proof", "drift");
    else if (needsStoring(steps, call.urn, inputs)) changes.set("storedIn", "drift");
    else if (!("covers" in state)) changes.set("covers", "drift");
    return changes;
  },
};

/** Takes it, unless the one that stands serves. */
async function take(call: DatabaseCall, inputs: Inputs<Spec>, state: State<Spec> | undefined, fenced: FencedWriter) {
  const awaited = isAwaited(await readSteps(fenced.writer), call.urn, inputs.protects);
  if (awaited) seeAdded(call);
  const { taken, by } = await lazily.backup.takeBackup(fenced, inputs, {
    onProgress: (progress) => call.log.status(backupLine(progress)),
    onProof: (progress) => call.log.status(proofLine(progress)),
    onStore: (progress) => call.log.status(storeLine(progress)),
    onWarning: call.log.warn,
  });
  const { rows, tables, bytes, path } = taken;
  const whose = by === "this run" ? "" : `${by}'s: `;
  const size = `${rows} rows of ${tables} tables, ${(bytes / 1e6).toFixed(1)} MB`;
  const stored = taken.storedIn === undefined ? "" : `; stored in ${taken.storedIn}, and read back`;
  call.log.info(`${whose}${size}, in ${path}; ${provenText(taken)}${stored}`);
  return { ...taken, covers: (!awaited && state?.covers) || coverOf(inputs, taken.takenAt) };
}

/** Two backups of the same have different times: RDS refuses a second snapshot of one name, and the first is never deleted. */
const coverOf = ({ protects }: Pick<Inputs<Spec>, "protects">, takenAt: string): string =>
  `${hash(protects).slice(0, 12)}-${takenAt.replace(/\D/g, "").slice(0, 14)}`;

export const backupHandler = handler(kind);
