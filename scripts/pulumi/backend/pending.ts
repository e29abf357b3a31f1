import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { backendFiles } from "./files";

interface StateFile {
  checkpoint?: { latest?: { pending_operations?: { type?: string }[] } };
}

/**
 * What to do about operations that a killed run left pending: Pulumi warns of each in every later run until they are
 * cleared. Clearing is safe here, since the ledger in the database says what was done, and create adopts it.
 * @param backend PULUMI_BACKEND_URL; only a file backend's state is looked at
 * @param since Unix time in milliseconds: only stacks whose state was written from then on, by the run at hand
 * @param worked whether that run succeeded
 * @returns one line a stack
 */
export function pendingHints(backend: string | undefined, since: number, worked: boolean): string[] {
  return backendFiles(backend, "stacks").flatMap((file) => {
    const count = pendingIn(file, since);
    if (count === 0) return [];
    const stack = basename(file, ".json");
    const clear = `npm run pulumi -- refresh --clear-pending-creates --yes --stack ${stack}`;
    const way = worked
      ? `the database's ledger knows what became of them; clear them: ${clear}`
      : `first up until it succeeds: it takes over what the ledger says is done; then clear them: ${clear}`;
    return [`stack ${stack} notes ${count} pending operation${count > 1 ? "s" : ""} of a killed run; ${way}`];
  });
}

/** @param since as for pendingHints @returns how many operations this state file says are pending, 0 if it cannot be read */
export function pendingIn(file: string, since = 0): number {
  try {
    if (statSync(file).mtimeMs < since) return 0;
    const state = JSON.parse(readFileSync(file, "utf8")) as StateFile;
    return state.checkpoint?.latest?.pending_operations?.length ?? 0;
  } catch {
    return 0; // a hint is not worth an error
  }
}
