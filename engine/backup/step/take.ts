import { join } from "node:path";
import type { FencedWriter } from "../../database";
import { hash } from "../../base/hash";
import { attempt } from "../../ledger/attempt";
import type { TakenBackup } from "../../ledger/details";
import { readPhysical } from "../../ledger/identity";
import { ledgerSchema } from "../../ledger/schema";
import { detailOf, endParts, lastChange, readStep, readSteps, setStep } from "../../ledger/steps";
import { adoptable, type FoundBackup } from "../adopt";
import { dump } from "../dump";
import type { Manifest } from "../manifest";
import { isAwaited, type KnownBackup, needsStoring, readTaken, serves, type WantedBackup } from "./policy";
import type { BackupProgress } from "../progress";
import { noteProof, proveTaken, refuseListing, tools, type ProvingSays, type ProvingTools } from "./proof";
import { refuseUnknown } from "./accept";
import { roomFor } from "../room";
import { keysOf } from "../../store/keys";
import { noteUpload, storeTaken, type StoringSays } from "./stored";

/** Gets what is said on the way. */
interface Says extends ProvingSays, StoringSays {
  onProgress: (progress: BackupProgress) => void;
}

/** The backup that there is now, and who took it. */
interface Taken {
  taken: KnownBackup;
  by: "this run" | "a killed run" | "an earlier run";
}

/**
 * Takes a backup for exactly what is declared, unless the ledger says that this one was taken already. One that a killed
 * run finished and did not record is taken for it, if nothing was changed since and it is young enough. Where something is
 * to be added or changed, it is proven then, and after that stored off the machine where the stack says so: what is refuted
 * does not leave. What only takes out waits for neither.
 * @param by the means of the proof, which tests replace
 * @throws GuardianError if pg_dump or a check of what it wrote fails, or if it is not proven as it must be
 */
export async function takeBackup(
  fenced: FencedWriter,
  wanted: WantedBackup,
  says: Says,
  by: ProvingTools = tools,
): Promise<Taken> {
  const { writer, options } = fenced;
  const steps = await readSteps(writer);
  const awaited = isAwaited(steps, options.urn, wanted.protects);
  if (awaited) {
    refuseListing(wanted);
    await refuseUnknown(writer, wanted);
    // A key that is wrong is wrong now, and not after an hour of dumping and a proof.
    const sending = !serves(steps, options.urn, wanted) || needsStoring(steps, options.urn, wanted);
    if (wanted.store && sending) keysOf(wanted.store);
  }
  const whose = await takeUnlessTaken(fenced, wanted, says, awaited);
  if (awaited && wanted.verify !== "list") await proveTaken(fenced, wanted, says, by);
  if (awaited) await storeTaken(fenced, wanted, says);
  return { taken: await readTaken(writer, options.urn), by: whose };
}

async function takeUnlessTaken(
  fenced: FencedWriter,
  wanted: WantedBackup,
  says: Says,
  awaited: boolean,
): Promise<Taken["by"]> {
  const { writer, options } = fenced;
  const { verify = "restore" } = wanted;
  const meaning = hash(wanted.protects);
  const current = await readStep(writer, options.urn);
  if (current && serves(await readSteps(writer), options.urn, wanted)) {
    if (detailOf(current, "Backup").verify !== verify && awaited) {
      await fenced.transaction((db) =>
        setStep(db, { ...current, kind: "Backup" }, { state: "done", detail: { verify } }),
      );
    }
    return "an earlier run";
  }
  const killed = current?.state === "running" && current.meaning === meaning;
  const found = killed ? await ofKilledRun(fenced, wanted, detailOf(current, "Backup").path) : undefined;
  const otherwise = current?.state === "done" ? "done" : "planned";
  return attempt(fenced, { kind: "Backup", state: "running", meaning }, otherwise, async (step) => {
    const { name, manifest, manifestSha256 = "" } = found ?? (await takeAnew(fenced, wanted, says, awaited));
    const taken = describe(join(wanted.directory, name), manifest);
    const detail = { ...taken, protects: wanted.protects, processed: 0, verify, refuted: false, manifestSha256 };
    await fenced.transaction(async (db) => {
      await setStep(db, step, { state: "done", physicalId: taken.path, detail });
      // The proof of the one before is none of this one.
      await endParts(db, options.urn);
      if (awaited && verify !== "list") await noteProof(db, fenced, taken.path);
      if (awaited && wanted.store) await noteUpload(db, fenced, taken.path, wanted.store);
    });
    return found ? "a killed run" : "this run";
  });
}

async function takeAnew(
  { writer, options }: FencedWriter,
  wanted: WantedBackup,
  says: Says,
  awaited: boolean,
): Promise<FoundBackup> {
  const { directory, jobs, ledgerId, protects } = wanted;
  const result = await dump({
    settings: writer.settings,
    ...{ directory, jobs, ledgerId, protects },
    excludeSchemas: [ledgerSchema],
    // The way back is not stopped for a disk that may yet suffice.
    ...(awaited ? { room: await roomFor(writer, await readSteps(writer), options.urn, wanted) } : {}),
    signal: options.signal,
    onProgress: says.onProgress,
  });
  result.warnings.forEach((warning) => says.onWarning(warning));
  return result;
}

/** @param known the one that the ledger knows, which is not taken for another */
async function ofKilledRun(
  { writer }: FencedWriter,
  wanted: WantedBackup,
  known: string | undefined,
): Promise<FoundBackup | undefined> {
  const { directory, ledgerId, maxAgeSeconds: maxAge, protects } = wanted;
  const here = await readPhysical(writer);
  const except = known === undefined ? {} : { except: known };
  return adoptable(directory, { ledgerId, ...here, ...(await lastChange(writer)), maxAge, protects, ...except });
}

function describe(path: string, manifest: Manifest): TakenBackup {
  return {
    path,
    takenAt: manifest.startedAt,
    bytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
    rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
    tables: manifest.tables.length,
  };
}
