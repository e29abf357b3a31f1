import { closeSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { alive } from "../../engine/base/process";
import { progress, type Log } from "./log";

const beatMs = 5_000;

/** A holder that did not touch its lock for so long is dead, wherever it ran. */
const deadAfterMs = 60_000;

interface Holder {
  pid: number;
  host: string;
}

/**
 * Runs work while this process holds the lock file, so that two runs at once fetch or build the engine only once. Waits
 * as long as the holder lives and says who it is; the lock of a dead holder is taken over. (Two takers in the same
 * instant may both win: then both build, each into a file of its own, and the later rename replaces equal by equal.)
 */
export async function withLock<T>(file: string, log: Log, work: () => Promise<T>): Promise<T> {
  let done: (() => void) | undefined;
  while (!take(file)) {
    const holder = read(file);
    if (dead(file, holder)) {
      rmSync(file, { force: true });
      continue;
    }
    done ??= progress(log, (s) => `waiting for process ${holder?.pid ?? "?"}, which is getting pulumi (${s} s)`);
    await sleep(500);
  }
  done?.();
  const beat = setInterval(() => touch(file), beatMs);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    rmSync(file, { force: true });
  }
}

function take(file: string): boolean {
  try {
    const handle = openSync(file, "wx", 0o600);
    writeSync(handle, JSON.stringify({ pid: process.pid, host: hostname() } satisfies Holder));
    closeSync(handle);
    return true;
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "EEXIST") return false;
    throw err;
  }
}

/** Undefined while the file is being written, or if it is gone by now. */
function read(file: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Holder;
  } catch {
    return undefined;
  }
}

function dead(file: string, holder: Holder | undefined): boolean {
  if (holder?.host === hostname() && !alive(holder.pid)) return true;
  try {
    return Date.now() - statSync(file).mtimeMs > deadAfterMs;
  } catch {
    return false;
  }
}

function touch(file: string): void {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // The lock was taken over; the work goes on and its result is as good.
  }
}
