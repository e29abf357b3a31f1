import { copyFileSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { backendFiles } from "./files";
import { lockState } from "./stale";

/** Milliseconds in which a file that somebody is writing would change. */
const settleMs = 300;

/**
 * Mends what a killed run left half written in a file backend, where Pulumi would answer every command with
 * "failed to load checkpoint". A stack that may be in use is left alone.
 * - `<stack>.json.attrs`, `meta.yaml.attrs`: what the backend notes beside a file (content type, MD5). It writes them in
 *   place, so that SIGKILL can leave one empty (strace of 3.250.0: openat with O_TRUNC, then write). A missing one is as
 *   good as none, so a torn one goes.
 * - `<stack>.json` itself is written beside and renamed, but not synced: a power failure can leave it torn. A `.bak` is
 *   made before each write, one step older at most, and what that step did is in the database's ledger: the next up
 *   adopts it. The torn file is kept.
 * @param backend PULUMI_BACKEND_URL; other backends than files have transactions of their own
 * @returns one line for each thing that was mended
 */
export async function mendTorn(backend: string | undefined): Promise<string[]> {
  const said: string[] = [];
  for (const file of [
    ...backendFiles(backend, "", "meta.yaml.attrs"),
    ...backendFiles(backend, "stacks", ".json.attrs"),
  ]) {
    if (!(await torn(file, backend))) continue;
    rmSync(file);
    said.push(`${basename(file)} was left half written by a killed run; it is gone, and Pulumi does without it`);
  }
  for (const file of backendFiles(backend, "stacks")) {
    if (!(await torn(file, backend)) || !whole(`${file}.bak`)) continue;
    copyFileSync(file, `${file}.torn`);
    // Copied beside and renamed: a kill in the middle of this leaves the torn file, and the next run mends it.
    copyFileSync(`${file}.bak`, `${file}.mended`);
    renameSync(`${file}.mended`, file);
    said.push(
      `stack ${stackOf(file)}: its state file was left half written; the one before it (.bak) is back, and up takes over what the database's ledger says is done`,
    );
  }
  return said;
}

/** Whether a file is broken JSON and nobody is about to mend it: it stays as it is, and no live run holds its stack. */
async function torn(file: string, backend: string | undefined): Promise<boolean> {
  if (whole(file)) return false;
  const before = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  await sleep(settleMs);
  if (before === undefined || statSync(file, { throwIfNoEntry: false })?.mtimeMs !== before) return false;
  // Read once more: the write that was under way may have ended between the first look and the first time.
  return !whole(file) && lockState(backend, stackOf(file)) !== "alive";
}

function stackOf(file: string): string {
  return basename(file).replace(/\.json(\.attrs)?$/, "");
}

function whole(file: string): boolean {
  try {
    JSON.parse(readFileSync(file, "utf8"));
    return true;
  } catch {
    return false;
  }
}
