import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A process of this machine, from /proc. */
export interface Process {
  pid: number;
  ppid: number;
  command: string;
}

/** Every process that this user may look at. */
function processes(): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      const ppid = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      const state = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[0];
      const command = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (state !== "Z") found.push({ pid: Number(entry), ppid, command });
    } catch {
      // It ended while it was looked at.
    }
  }
  return found;
}

/** Descendants of a process whose command line matches. */
export function descendants(of: number, pattern: RegExp): Process[] {
  const all = processes();
  const family = new Set([of]);
  for (let size = 0; size !== family.size;) {
    size = family.size;
    for (const process of all) if (family.has(process.ppid)) family.add(process.pid);
  }
  return all.filter((process) => process.pid !== of && family.has(process.pid) && pattern.test(process.command));
}

/** Waits until something is so. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limitMs = 120_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await sleep(50);
  }
}

/** True while a process is there. */
export function alive(pid: number): boolean {
  return processes().some((process) => process.pid === pid);
}
