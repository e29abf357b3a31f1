import { join } from "node:path";
import type { FencedWriter } from "../database";
import { hash } from "../base/hash";
import { attempt } from "../ledger/attempt";
import type { TakenBackup } from "../ledger/details";
import { readPhysical } from "../ledger/identity";
import { ledgerSchema } from "../ledger/schema";
import { lastChange, readStep, readSteps, setStep } from "../ledger/steps";
import { adoptable, type FoundBackup } from "./adopt";
import { dump } from "./dump";
import type { Manifest } from "./manifest";
import { isOutdated, readTaken, type WantedBackup } from "./policy";
import type { BackupProgress } from "./progress";

/** Gets what is said on the way. */
interface Says {
  onProgress: (progress: BackupProgress) => void;
  onWarning: (line: string) => void;
}

/** The backup that there is now, and who took it. */
interface Taken {
  taken: TakenBackup;
  by: "this run" | "a killed run" | "an earlier run";
}

/**
 * Takes a backup for exactly what is declared, unless the ledger says that this one was taken already. One that a killed
 * run finished and did not record is taken for it, if nothing was changed since and it is young enough.
 * @throws GuardianError if pg_dump or a check of what it wrote fails
 * @lazily
 */
export async function takeBackup(fenced: FencedWriter, wanted: WantedBackup, says: Says): Promise<Taken> {
  const { writer, options } = fenced;
  const meaning = hash(wanted.protects);
  const current = await readStep(writer, options.urn);
  if (current?.state === "done" && current.meaning === meaning) {
    const taken = await readTaken(writer, options.urn);
    if (!isOutdated(await readSteps(writer), options.urn, wanted, taken)) return { taken, by: "an earlier run" };
  }
  const killed = current?.state === "running" && current.meaning === meaning;
  const found = killed ? await ofKilledRun(fenced, wanted) : undefined;
  const otherwise = current?.state === "done" ? "done" : "planned";
  return attempt(fenced, { kind: "Backup", state: "running", meaning }, otherwise, async (step) => {
    const { name, manifest } = found ?? (await takeAnew(fenced, wanted, says));
    const taken = describe(join(wanted.directory, name), manifest);
    const detail = { ...taken, protects: wanted.protects, processed: 0 };
    await fenced.transaction((db) => setStep(db, step, { state: "done", physicalId: taken.path, detail }));
    return { taken, by: found ? "a killed run" : "this run" };
  });
}

async function takeAnew({ writer, options }: FencedWriter, wanted: WantedBackup, says: Says): Promise<FoundBackup> {
  const { directory, jobs, ledgerId, protects } = wanted;
  const result = await dump({
    settings: writer.settings,
    ...{ directory, jobs, ledgerId, protects },
    excludeSchemas: [ledgerSchema],
    signal: options.signal,
    onProgress: says.onProgress,
  });
  result.warnings.forEach((warning) => says.onWarning(warning));
  return result;
}

async function ofKilledRun({ writer }: FencedWriter, wanted: WantedBackup): Promise<FoundBackup | undefined> {
  const { directory, ledgerId, maxAgeSeconds: maxAge, protects } = wanted;
  const here = await readPhysical(writer);
  return adoptable(directory, { ledgerId, ...here, ...(await lastChange(writer)), maxAge, protects });
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
