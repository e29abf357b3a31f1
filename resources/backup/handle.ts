import { isOutdated, needsProof, needsStoring, readTaken } from "../../engine/backup/step/policy";
import { lazily } from "../../engine/lazy";
import { endParts, readStep, setStep } from "../../engine/ledger/steps";
import type { Changes } from "../../provider/diff";
import { backupLine, proofLine, provenText, storeLine } from "../sentences";
import { ledgerSteps } from "../call";
import { handler, type Kind } from "../handler";
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

  async plan(call, inputs) {
    const [server, steps] = [await call.host.server(), await ledgerSteps(call.host)];
    const about = { server, where: call.host.settings.toString(), urn: call.urn, steps, env: process.env };
    return { notes: await call.host.read((db) => lazily.backup.planBackup(db, inputs, about)) };
  },

  async create(call, inputs, fenced) {
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
    return taken;
  },

  async delete(call, state, fenced) {
    const current = await readStep(fenced.writer, call.urn);
    if (!current || current.state === "undone") return;
    await fenced.transaction(async (db) => {
      await setStep(db, current, { state: "undone" });
      await endParts(db, call.urn);
    });
    call.log.info(`the backup's files stay: ${state.path}`);
  },

  read: (db, call) => readTaken(db, call.urn),

  async drift(call, inputs, state) {
    const changes: Changes = new Map();
    const steps = await ledgerSteps(call.host);
    if (isOutdated(steps, call.urn, inputs, state)) changes.set("takenAt", "drift");
    // A state of a release that proved nothing does not have it.
    else if (needsProof(steps, call.urn, inputs) || !("proof" in state)) changes.set("proof", "drift");
    if (changes.size === 0 && needsStoring(steps, call.urn, inputs)) changes.set("storedIn", "drift");
    return changes;
  },
};

export const backupHandler = handler(kind);
