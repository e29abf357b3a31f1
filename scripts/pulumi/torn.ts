import { copyFileSync, existsSync, readFileSync, renameSync, statSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { backendFiles } from "./backend-files";
import { lockState } from "./stale";

/** Milliseconds in which a file that somebody is writing would change. */
const settleMs = 300;

/**
 * Brings back the state of stacks whose file Pulumi was killed in the middle of writing: it would answer every command with
 * "failed to load checkpoint". A file backend copies the state to `.bak` before each write, so that the copy is one step
 * older at most, and what that step did is in the database's ledger: the next up adopts it. The torn file is kept beside.
 * A stack that may be in use is left alone.
 * @param backend PULUMI_BACKEND_URL; other backends than files have transactions of their own
 * @returns one line for each stack that was mended
 */
export async function mendTorn(backend: string | undefined): Promise<string[]> {
  const said: string[] = [];
  for (const file of backendFiles(backend, "stacks")) {
    if (whole(file)) continue;
    const stack = basename(file, ".json");
    const before = statSync(file).mtimeMs;
    await sleep(settleMs);
    const used = lockState(backend, stack) === "alive" || !existsSync(file) || statSync(file).mtimeMs !== before;
    if (used || whole(file) || !whole(`${file}.bak`)) continue;
    copyFileSync(file, `${file}.torn`);
    // Copied beside and renamed: a kill in the middle of this leaves the torn file, and the next run mends it.
    copyFileSync(`${file}.bak`, `${file}.mended`);
    renameSync(`${file}.mended`, file);
    said.push(
      `stack ${stack}: a killed run left its state file half written; the one before it (.bak) is back, and up takes over what the database's ledger says is done`,
    );
  }
  return said;
}

function whole(file: string): boolean {
  try {
    JSON.parse(readFileSync(file, "utf8"));
    return true;
  } catch {
    return false;
  }
}
