import { constants } from "node:fs";
import { access, mkdir, realpath, stat, statfs } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError } from "../base/errors";

/** How long a folder may take to answer, in milliseconds: a network's file system that is gone answers never. */
const answerMs = 30_000;

/** File systems that hold no files of ours, by statfs(2)'s type (linux/magic.h). */
const unreal: Readonly<Record<number, string>> = {
  0x9fa0: "proc",
  0x62656572: "sysfs",
  0x1cd1: "devpts",
  0x27e0eb: "cgroup",
  0x63677270: "cgroup2",
  0x64626720: "debugfs",
  0x74726163: "tracefs",
  0x73636673: "securityfs",
  0x62656570: "configfs",
  0x6165676c: "pstore",
  0x65735543: "fusectl",
  0x19800202: "mqueue",
  0x42494e4d: "binfmt_misc",
  0xcafe4a11: "bpf",
  0xde5e81e4: "efivarfs",
};

/** File systems in memory (tmpfs, ramfs): what is in them is gone after a restart. */
const inMemory = [0x01021994, 0x858458f6];

/**
 * Waits for the file system, and not for ever.
 * @throws GuardianError if it does not answer; what the work throws
 */
export async function within<T>(work: Promise<T>, directory: string, ms = answerMs): Promise<T> {
  const over = new AbortController();
  const late = sleep(ms, undefined, { signal: over.signal }).then(() => {
    throw new GuardianError("folder-unusable", {
      what: `the backup folder did not answer within ${ms / 1000} s`,
      where: directory,
      todo: ["see whether its disk or network mount is there", "set guardian:backup.directory to another place"],
    });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
    late.catch(() => undefined);
    work.catch(() => undefined);
  }
}

/** What there is to say of a place where a backup may be written. */
export interface Place {
  /** Bytes that this user may still write there. */
  free: number;
  /** True if a restart empties it. */
  inMemory: boolean;
}

/**
 * Looks at a place without writing; a folder that is not there yet is made later, in the nearest one that is.
 * @throws GuardianError if it cannot be written, does not answer, or keeps no files
 */
export function lookAt(directory: string): Promise<Place> {
  return within(look(directory), directory);
}

async function look(directory: string): Promise<Place> {
  const base = await nearest(directory);
  const real = await realpath(base).catch((err: unknown) => {
    throw folderFailure(err, directory);
  });
  const disk = await statfs(real).catch((err: unknown) => {
    throw folderFailure(err, directory);
  });
  const kind = unreal[disk.type] ?? /^\/(dev|proc|sys)(?=\/|$)/.exec(real)?.[1];
  if (kind !== undefined) {
    throw new GuardianError("folder-unusable", {
      what: `the backup folder is in a place that the system makes up and that keeps no files (${kind})`,
      where: directory,
      todo: "set guardian:backup.directory to a folder on a disk",
    });
  }
  await access(real, constants.W_OK | constants.X_OK).catch((err: unknown) => {
    throw folderFailure(err, directory);
  });
  return { free: disk.bavail * disk.bsize, inMemory: inMemory.includes(disk.type) };
}

async function nearest(directory: string): Promise<string> {
  for (let at = directory; ; at = dirname(at)) {
    const found = await stat(at).catch((err: unknown) => {
      if (err instanceof Error && "code" in err && err.code === "ENOENT") return undefined;
      throw folderFailure(err, directory);
    });
    if (found && !found.isDirectory()) throw folderFailure(undefined, directory);
    if (found) return at;
  }
}

/**
 * Makes a folder and those above it, for the owner alone. Not by mkdir's own `recursive`: where a folder refuses with
 * ENOENT, as /proc does, Node tries for ever.
 */
export async function makeFolder(directory: string): Promise<void> {
  const base = await nearest(directory);
  let at = base;
  for (const part of relative(base, directory).split("/")) {
    if (part === "") continue;
    at = join(at, part);
    await mkdir(at, { mode: 0o700 }).catch((err: unknown) => {
      if (!(err instanceof Error && "code" in err && err.code === "EEXIST")) throw err;
    });
  }
}

/** The error for a backup folder that cannot be made, written or read; `err` is what node:fs threw. */
export function folderFailure(err: unknown, directory: string): GuardianError {
  if (err instanceof GuardianError) return err;
  const code = err instanceof Error && "code" in err ? String(err.code) : "ENOTDIR";
  const full = ["ENOSPC", "EDQUOT", "EFBIG"].includes(code);
  const what = full ? "the disk is full" : "the backup folder cannot be written";
  return new GuardianError(full ? "disk-full" : "folder-unusable", {
    what: `${what} (${code})`,
    where: directory,
    todo: [
      full ? "free space there" : "make the folder, for the user that runs this alone (mode 0700)",
      "set guardian:backup.directory to another place",
    ],
  });
}
