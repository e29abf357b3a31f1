import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { GuardianError } from "../../base/errors";
import type { FoundBackup } from "../adopt";
import { look, ownerNote, partialPrefix, removeFolder, startFolder } from "../folder";
import { dumpFolder, bytesUnder, manifestFile, readManifest, verifyBackup, type Manifest } from "../manifest";
import { folderFailure, within } from "../place";
import { readProof, type NotedProof } from "./proof-file";

/** What the name of a backup begins with while it is being removed: half of one never stands under its name. */
export const removingPrefix = ".removing-";

/** The name of a backup, also of one whose removal was cut off before a file of it went: the ledger knows it by that. */
export const ownName = (name: string): string => name.replace(/^(?:\.removing-)+/, "");

/** One folder in the place where backups are. */
export interface BackupFolder {
  readonly name: string;
  readonly path: string;
  /**
   * whole: all files are there with their sizes. broken: not so, or its manifest is none. under way: its run lives. left behind: by a run of this
   * machine that was killed, or half removed. unclear: half-written, and nobody here can tell by whom. other: no backup.
   */
  readonly state: "whole" | "broken" | "under way" | "left behind" | "unclear" | "other";
  /** What is broken. */
  readonly why?: string;
  /** Of a hidden one: the name of the backup that its run reads. */
  readonly reads?: string;
  readonly manifest?: Manifest;
  readonly proof?: NotedProof;
  /** On the disk. */
  readonly bytes: number;
}

/** Reads what is in the place where backups are, the oldest first; needs no database. @throws GuardianError folder-unusable */
export async function readBackups(directory: string): Promise<BackupFolder[]> {
  const place = resolve(directory);
  const entries = await within(readdir(place, { withFileTypes: true }), place).catch((err: unknown) => {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return [];
    throw folderFailure(err, place);
  });
  const folders = entries.filter((entry) => entry.isDirectory());
  const found = await Promise.all(folders.map(({ name }) => readFolder(join(place, name), name)));
  const when = ({ manifest, name }: BackupFolder): string => `${manifest?.startedAt ?? name} ${name}`;
  return found.sort((a, b) => (when(a) < when(b) ? -1 : 1));
}

async function readFolder(path: string, name: string): Promise<BackupFolder> {
  const about = { name, path, bytes: await bytesUnder(path) };
  if (name.startsWith(partialPrefix)) {
    const states = { alive: "under way", gone: "left behind", unknown: "unclear" } as const;
    const { owner, reads } = await look(path);
    return { ...about, state: states[owner], ...(reads === undefined ? {} : { reads }) };
  }
  const manifest = await readManifest(path).catch(said);
  // One whose removal was cut off before a file of it went is as good as any other.
  const files = typeof manifest === "string" ? [manifestFile] : manifest.files.map((file) => file.path);
  const isHalf = async (): Promise<boolean> => (await anyGone(path, files)) || exists(join(path, ownerNote));
  if (name.startsWith(removingPrefix) && (await isHalf())) return { ...about, state: "left behind" };
  // Of a backup whose manifest is gone its dump is left: it may be the last.
  if (typeof manifest === "string") {
    const isBackup = await Promise.all([manifestFile, dumpFolder].map((part) => exists(join(path, part))));
    return isBackup.includes(true) ? { ...about, state: "broken", why: manifest } : { ...about, state: "other" };
  }
  const proof = await readProof(path);
  const more = { manifest, ...(proof ? { proof } : {}) };
  const why = await verifyBackup(path, { sha: false }).then(() => undefined, said);
  return why === undefined ? { ...about, ...more, state: "whole" } : { ...about, ...more, state: "broken", why };
}

/** Whether one of these files is not there: of what cannot be looked at nothing is known. */
async function anyGone(path: string, files: readonly string[]): Promise<boolean> {
  const gone = (err: unknown): boolean => err instanceof Error && "code" in err && err.code === "ENOENT";
  const found = await Promise.all(files.map((file) => stat(join(path, file)).then(() => false, gone)));
  return found.includes(true);
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** What is wrong with it. A folder that may not be read spares the others. */
function said(err: unknown): string {
  if (err instanceof GuardianError) return err.what.replace(/^the backup is broken: /, "");
  if (err instanceof Error && "syscall" in err) return `it cannot be read (${"code" in err ? String(err.code) : ""})`;
  throw err;
}

/** A backup that can be read from, and what was made to read it. */
export interface OpenBackup extends FoundBackup {
  /** Takes away what was made for reading; never the backup. May be called twice. */
  close(): Promise<void>;
}

/**
 * Opens a backup for reading: whatever restores, proves or masks one comes this way, wherever it lives. Until it is closed, or
 * this process ends however that does, a note beside it says so, and nobody removes it (remove.ts). The note comes first: who
 * removes takes away the name before he looks for notes.
 * @throws GuardianError if it is not whole, or nothing can be written beside it
 */
export async function openBackup(path: string): Promise<OpenBackup> {
  const [place, name] = [resolve(path), basename(resolve(path))];
  const note = await startFolder(dirname(place), "reading", name);
  try {
    const manifest = await verifyBackup(path, { sha: false });
    return { name, path, manifest, close: () => removeFolder(note) };
  } catch (err) {
    await removeFolder(note);
    throw err;
  }
}
