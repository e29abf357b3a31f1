import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { isGone, ownMark, type ProcessMark } from "../base/process";
import { folderFailure, makeFolder, within } from "./place";

/** What the name of a backup on its way begins with. */
export const partialPrefix = ".partial-";
/** In a partial folder: who writes it. */
export const ownerNote = "owner.json";

/** What is in that: the run, and the backup that it reads, by its name. */
interface Note extends ProcessMark {
  readonly reads?: string;
}

/** A backup on its way: a hidden folder beside the finished ones, which rename turns into one of them. */
export interface PartialFolder {
  /** The name the finished backup will have. */
  readonly name: string;
  readonly path: string;
}

/**
 * Makes the hidden folder, and the directory above it if need be, for the owner alone.
 *
 * @param database  goes into the name, letters and digits of it.
 * @param reads  the name of a backup in that directory that is read while the folder is there.
 * @throws GuardianError if the directory cannot be written.
 */
export async function startFolder(directory: string, database: string, reads?: string): Promise<PartialFolder> {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  return startNamed(
    directory,
    `${database.replace(/[^A-Za-z0-9_]+/g, "-").slice(0, 40)}-${time}-${randomBytes(4).toString("hex")}`,
    reads,
  );
}

/** The same for a name that is known: of a backup that is brought back. */
export async function startNamed(directory: string, name: string, reads?: string): Promise<PartialFolder> {
  const path = join(directory, partialPrefix + name);
  const make = async (): Promise<void> => {
    await makeFolder(directory);
    await mkdir(path, { mode: 0o700 });
    const note: Note = { ...ownMark(), ...(reads === undefined ? {} : { reads }) };
    await writeFile(join(path, ownerNote), JSON.stringify(note), { mode: 0o600, flag: "wx" });
  };
  try {
    await within(make(), directory);
  } catch (err) {
    throw folderFailure(err, directory);
  }
  return { name, path };
}

/** Removes what a failed or cancelled run wrote; never throws, since the failure itself is what matters. */
export async function removeFolder(folder: PartialFolder): Promise<void> {
  const removed = rm(folder.path, { recursive: true, force: true, maxRetries: 3 });
  await within(removed, folder.path).catch(() => undefined);
}

/** A hidden folder that is there, and whether its run still lives. */
export interface Hidden {
  readonly path: string;
  /** unknown: it is of another machine or container, and nobody here can tell. */
  readonly owner: "alive" | "gone" | "unknown";
  /** The name of the backup that its run reads. */
  readonly reads?: string;
}

/**
 * Removes the hidden folders of runs on this machine that were killed: they hold patients' data and are of no use.
 *
 * @returns the folders that are left, because their run is alive, or nobody here can tell.
 */
export async function removeStale(directory: string): Promise<Hidden[]> {
  const left: Hidden[] = [];
  for (const one of await hiddenIn(directory).catch(() => [])) {
    if (one.owner === "gone") await removeFolder({ name: basename(one.path), path: one.path });
    else left.push(one);
  }
  return left;
}

/** What is to be said of hidden folders that stay: nothing of those whose run lives here. */
export const leftBehind = (left: readonly Hidden[]): string[] =>
  left.flatMap(({ path, owner }) =>
    owner === "unknown"
      ? `${path} is of a run on another machine or in another container, and may hold patients' data: remove it, if that run is gone`
      : [],
  );

/** @returns the hidden folders of a directory. @throws what node:fs throws */
export async function hiddenIn(directory: string): Promise<Hidden[]> {
  const entries = await within(readdir(directory), directory);
  return Promise.all(
    entries.filter((entry) => entry.startsWith(partialPrefix)).map((entry) => look(join(directory, entry))),
  );
}

/**
 * Looks whether whoever makes a hidden folder still lives. A number alone would not do: the system gives it to another one day,
 * and each container counts for itself. A release that noted no more than that leaves folders that nobody can tell about.
 */
export async function look(path: string): Promise<Hidden> {
  try {
    const note = JSON.parse(await readFile(join(path, ownerNote), "utf8")) as Note;
    const gone = isGone(note);
    const owner = gone === undefined ? "unknown" : gone ? "gone" : "alive";
    return { path, owner, ...(typeof note.reads === "string" ? { reads: note.reads } : {}) };
  } catch {
    return { path, owner: "unknown" };
  }
}

/** Files 0600 and folders 0700, whatever the program that wrote them thought. */
export async function lockDown(path: string): Promise<void> {
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    await (entry.isDirectory() ? lockDown(inside) : chmod(inside, 0o600));
  }
}

/** Gives the folder its final name: from here on it counts. Everything is on disk before, and the name after. */
export async function finishFolder(folder: PartialFolder, directory: string): Promise<string> {
  const final = join(directory, folder.name);
  await rm(join(folder.path, ownerNote));
  await sync(folder.path);
  await rename(folder.path, final);
  await sync(directory);
  return final;
}

/** Writes a file and waits until it is on disk. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
