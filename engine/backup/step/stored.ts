import { createRequire } from "node:module";
import type { FencedWriter } from "../../database";
import { GuardianError } from "../../base/errors";
import type { Note } from "../../base/plan";
import { first, type Queryable } from "../../base/sql";
import { attemptPart } from "../../ledger/attempt";
import type { KeptPart } from "../../ledger/details";
import { readPhysical } from "../../ledger/identity";
import { addStep, detailOf, readStep, setStep, type Step } from "../../ledger/steps";
import type { StoreProgress } from "../../store/storing";
import { keysOf } from "../../store/keys";
import { addressOf, sealOf, type WantedStore } from "../../store/wanted";
import { verifyBackup } from "../manifest";
import { utcNow } from "../snapshot";
import { nameOfFolder, readTaken, uploadPart, type WantedBackup } from "./policy";

const load = createRequire(__filename);
/** Only where it is configured: the SDK alone takes longer to load than all else. */
const store = (): typeof import("../../store") => load("../../store") as typeof import("../../store");

/** Gets what is said while a backup is stored. */
export interface StoringSays {
  onStore: (progress: StoreProgress) => void;
  onWarning: (line: string) => void;
}

/** Milliseconds between two notes of what is stored so far. */
const every = 2000;

/** Notes that the backup in a folder is to be stored. */
export function noteUpload(db: Queryable, { options }: FencedWriter, path: string, wanted: WantedStore): Promise<Step> {
  const detail = { path, at: addressOf(wanted, nameOfFolder(path)), sealed: sealOf(wanted), parts: [] };
  return addStep(db, { urn: options.urn, part: uploadPart, kind: "upload", state: "planned", detail });
}

/** What `up` would do about the store, in preview: what is wrong with it is a warning, since who previews need not have its rights. */
export async function planStore(wanted: WantedStore): Promise<Note> {
  try {
    await store().reach(wanted);
  } catch (err) {
    if (!(err instanceof GuardianError) || err.code === "age-key-invalid") throw err;
    return { severity: "warning", text: `backups could not be stored in ${wanted.to} now: ${err.what}` };
  }
  try {
    keysOf(wanted);
  } catch (err) {
    if (!(err instanceof GuardianError)) throw err;
    // Who previews need not have the identity; up refuses this before it dumps.
    return {
      severity: "warning",
      text: `backups could not be read back by this machine, which up asks first: ${err.what}`,
    };
  }
  const encrypted = wanted.recipients.join() === "none" ? "as it is" : `encrypted for ${wanted.recipients.length}`;
  return { severity: "info", text: `then it is stored in ${wanted.to}, ${encrypted}, and read back` };
}

/**
 * Stores the backup that the ledger says was taken off the machine, as a step of the ledger's own: what is stored is not
 * stored again, a killed run is gone on with. Where the stack declares no store, none is waited for any more.
 * @throws GuardianError; nothing relies on the backup then
 */
export async function storeTaken(fenced: FencedWriter, wanted: WantedBackup, says: StoringSays): Promise<void> {
  const { writer, options } = fenced;
  const there = await readStep(writer, options.urn, uploadPart);
  const open = there?.state === "planned" || there?.state === "running";
  if (!wanted.store) {
    if (open) await fenced.transaction((db) => setStep(db, { id: there.id, kind: "upload" }, { state: "undone" }));
    return;
  }
  const { path } = await readTaken(writer, options.urn);
  const at = addressOf(wanted.store, nameOfFolder(path));
  const known = detailOf(there, "upload");
  const same = known.path === path && known.at === at && known.sealed === sealOf(wanted.store);
  if (there?.state === "done" && same) return;
  const step = open && same ? there : await planned(fenced, path, wanted.store);
  await attemptPart(fenced, step, () => send(fenced, step, wanted, wanted.store as WantedStore, says, path));
}

const planned = (fenced: FencedWriter, path: string, wanted: WantedStore): Promise<Step> =>
  fenced.transaction((db) => noteUpload(db, fenced, path, wanted));

async function send(
  fenced: FencedWriter,
  step: Step,
  { ledgerId }: WantedBackup,
  wanted: WantedStore,
  says: StoringSays,
  path: string,
): Promise<void> {
  const { writer, options } = fenced;
  const here = await readPhysical(writer);
  const upload = { id: step.id, kind: "upload" } as const;
  let last = 0;
  let latest: readonly KeptPart[] | undefined;
  const keep = async (): Promise<void> => {
    const parts = latest;
    latest = undefined;
    if (parts) await fenced.transaction((db) => setStep(db, upload, { state: "running", detail: { parts } }));
  };
  // One at a time: several files are under way at once.
  let keeping = Promise.resolve();
  const note = (parts: readonly KeptPart[]): Promise<void> => {
    latest = parts;
    if (Date.now() - last < every) return Promise.resolve();
    last = Date.now();
    return (keeping = keeping.then(keep));
  };
  try {
    const stored = await store().storeBackup(
      { name: nameOfFolder(path), path, manifest: await verifyBackup(path, { sha: false }) },
      wanted,
      {
        owner: { ledgerId, systemIdentifier: here.systemIdentifier, database: here.database },
        known: detailOf(step, "upload").parts ?? [],
        note,
        onProgress: says.onStore,
        onWarning: says.onWarning,
        signal: options.signal,
      },
    );
    await keeping;
    const storedAt = (await first<{ at: string }>(writer, `SELECT ${utcNow} AS at`))?.at ?? "";
    const { at, parts, indexSha256 } = stored;
    const detail = { path, at, parts, indexSha256, storedAt };
    await fenced.transaction((db) => setStep(db, upload, { state: "done", detail }));
  } catch (err) {
    await keeping.then(keep).catch(() => undefined);
    throw err;
  }
}
