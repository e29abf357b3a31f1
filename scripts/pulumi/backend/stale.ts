import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname } from "node:path";
import { backendFiles } from "./files";
import { alive } from "../../../engine/base/process";

interface Owner {
  pid: number;
  hostname: string;
}

/**
 * What to do about the locks that a file backend holds: Pulumi's own error says only that the stack is locked, and offers
 * `pulumi cancel` even while the other run is at work. Locks are files `.pulumi/locks/…/<stack>/*.json` with the pid and
 * host of their owner.
 * @param backend PULUMI_BACKEND_URL
 * @param only the stack that the command was about; without one all are looked at
 * @returns one line a lock; none where nothing is known of its owner
 */
export function lockHints(backend: string | undefined, only?: string): string[] {
  return backendFiles(backend, "locks").flatMap((file) => {
    const stack = basename(dirname(file));
    const owner = only === undefined || only === stack ? read(file) : undefined;
    if (!owner) return [];
    if (owner.hostname !== hostname()) {
      return [
        `stack ${stack} is locked by process ${owner.pid} on ${owner.hostname}: see there whether it still runs, before npm run pulumi -- cancel`,
      ];
    }
    if (runs(owner.pid)) {
      return [
        `stack ${stack} is locked by process ${owner.pid}, which still runs: wait for it, or stop it (kill -INT ${owner.pid})`,
      ];
    }
    return [`the run that locked stack ${stack} is dead; the way out is: npm run pulumi -- cancel`];
  });
}

/**
 * Gives back the locks of an engine that a signal ended: it takes its lock before it listens to signals, so that ^C in
 * the first seconds would leave one behind, for which the next run would ask for a `cancel`.
 * @param backend PULUMI_BACKEND_URL
 * @param engine its pid; this process started it, and has seen it end
 * @returns one line a lock
 */
export function giveBack(backend: string | undefined, engine: number): string[] {
  return backendFiles(backend, "locks").flatMap((file) => {
    const owner = read(file);
    if (owner?.pid !== engine || owner.hostname !== hostname() || alive(engine)) return [];
    rmSync(file, { force: true });
    return [`stopped; the lock of stack ${basename(dirname(file))} that this run had taken is given back`];
  });
}

/**
 * Whether somebody may be at work on a stack: an owner on another host, or one whose file cannot be read, counts as alive.
 * @param backend PULUMI_BACKEND_URL
 */
export function lockState(backend: string | undefined, stack: string): "none" | "dead" | "alive" {
  const files = backendFiles(backend, "locks").filter((file) => basename(dirname(file)) === stack);
  if (files.length === 0) return "none";
  const dead = files.map(read).every((owner) => owner?.hostname === hostname() && !runs(owner.pid));
  return dead ? "dead" : "alive";
}

function read(file: string): Owner | undefined {
  try {
    const owner = JSON.parse(readFileSync(file, "utf8")) as Partial<Owner>;
    return typeof owner.pid === "number" && typeof owner.hostname === "string" ? (owner as Owner) : undefined;
  } catch {
    return undefined; // given back meanwhile
  }
}

/** Whether the process is there and is a pulumi: after a restart its number may be anybody's. */
function runs(pid: number): boolean {
  if (!alive(pid)) return false;
  const { status, stdout } = spawnSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8", timeout: 5000 });
  return status !== 0 || /pulumi/i.test(stdout); // without ps, what is alive counts as the owner
}
