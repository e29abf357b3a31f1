import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";

/** The variable that names the file to which a process of a test run writes what `leave` says. */
export const cpuVariable = "GUARDIAN_TEST_CPU";

/** Linux counts in hundredths of a second here, whatever the kernel's own tick is (proc(5), sysconf(_SC_CLK_TCK)). */
const ticks = 100;

/** Fields of /proc/PID/stat after the command: parent, then user and system time of itself and of children it waited for. */
function stat(pid: number | "self"): { ppid: number; own: number; waited: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const at = (i: number): number => Number(fields[i]);
    return { ppid: at(1), own: at(11) + at(12), waited: at(13) + at(14) };
  } catch {
    return undefined; // it ended just now, or this is no Linux
  }
}

/** Seconds of CPU of all processes that this one started and waited for, and of theirs; undefined where nobody counts. */
export const cpuOfEnded = (): number | undefined => {
  const found = stat("self");
  return found && found.waited / ticks;
};

/** Seconds of CPU of the processes below this one that still run, and of those that these waited for. */
function cpuOfRunning(of = process.pid): number {
  if (!existsSync("/proc/self/stat")) return 0;
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  const all = new Map(pids.map((pid) => [Number(pid), stat(Number(pid))]));
  const below = (pid: number): boolean => {
    for (let at = all.get(pid)?.ppid; at !== undefined && at > 1; at = all.get(at)?.ppid) if (at === of) return true;
    return false;
  };
  const sum = [...all].reduce((sum, [pid, found]) => sum + (found && below(pid) ? found.own + found.waited : 0), 0);
  return sum / ticks;
}

/** At its end this process says what nobody will wait for: a worker's server ends after it. */
export function leave(): void {
  const file = process.env[cpuVariable];
  if (file !== undefined) process.once("exit", () => appendFileSync(file, `${cpuOfRunning()}\n`));
}
