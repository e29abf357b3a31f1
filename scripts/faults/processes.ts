import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { environment } from "../../engine/server/account";

/** A process of this machine that is no zombie. */
export interface Process {
  pid: number;
  parent: number;
  command: string;
}

/** The plugin's command, as provider/pulumi-resource-guardian-migration starts it. */
export const pluginCommand = /\/resources\/main\.ts/;

/** A scratch server's first process; the others are called by what they do. */
export const scratchCommand = /\/bin\/postgres -D \S*\/guardian-scratch-/;

/** Every process: from Linux itself, which is quick and the same everywhere, else from ps. */
export function processes(): Process[] {
  return existsSync("/proc/self/stat") ? fromProc() : fromPs();
}

function fromProc(): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      // The name before it is in parentheses and may hold any character (proc(5)).
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const command = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ");
      if (state !== "Z") found.push({ pid: Number(entry), parent: Number(parent), command });
    } catch {
      // It ended while it was looked at.
    }
  }
  return found;
}

function fromPs(): Process[] {
  const { stdout } = spawnSync("ps", ["-A", "-ww", "-o", "pid=,ppid=,stat=,command="], {
    env: environment(),
    encoding: "utf8",
  });
  return stdout.split("\n").flatMap((line) => {
    const [, pid, parent, state, command = ""] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined || state?.startsWith("Z") ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
}

/** The process and all that descend from it, itself first; empty if it is not there. */
export function family(pid: number, all: readonly Process[] = processes()): Process[] {
  const found = all.filter((process) => process.pid === pid);
  for (const member of found) found.push(...all.filter((process) => process.parent === member.pid));
  return found;
}

/** Kills at once. @returns whether there was a process that the signal hit */
export function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw err;
  }
}
