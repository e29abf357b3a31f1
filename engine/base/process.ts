import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Names a process for good: the number alone is given to another one day. */
export interface ProcessMark {
  readonly host: string;
  /** The machine's start and the space of process numbers, on Linux: a container has numbers of its own. */
  readonly space: string;
  /** The machine whatever it is called, by its machine-id(5); empty where that cannot be told. Absent from older notes. */
  readonly machine?: string;
  readonly pid: number;
  /** When it was started, in the system's own words. */
  readonly started: string;
}

/** The mark of this process. */
export function ownMark(): ProcessMark {
  const { pid } = process;
  return { host: hostname(), space: spaceOfNumbers(), machine: machineId(), pid, started: startOf(pid) ?? "" };
}

/** @returns whether the process has ended; undefined if that cannot be told from here */
export function isGone(mark: ProcessMark): boolean | undefined {
  if (mark.host !== hostname()) return undefined;
  const [boot, numbers] = mark.space.split(" ");
  const [ownBoot, ownNumbers] = spaceOfNumbers().split(" ");
  // This machine was started anew since; or it is another of the same name, whose containers often have one.
  if (boot !== ownBoot) return mark.machine && mark.machine === machineId() ? true : undefined;
  if (numbers !== ownNumbers) return undefined;
  if (!alive(mark.pid)) return true;
  const started = startOf(mark.pid);
  // Of another user's process the system may hide all but that it is there.
  return started !== undefined && mark.started !== "" && started !== mark.started;
}

/** True if a process with this id exists, whoever owns it: signal 0 only asks, and EPERM means that it is there. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === "EPERM";
  }
}

function spaceOfNumbers(): string {
  if (process.platform !== "linux") return "- -";
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return "- -";
  }
}

/** What all of a machine's processes that are in no container count by (Linux, proc_ns.h, PROC_PID_INIT_INO). */
const machinesOwn = "pid:[4026531836]";

/** A container's machine-id is that of its image, or none; one of a machine that has not been set up is a word. */
function machineId(): string {
  try {
    if (!spaceOfNumbers().endsWith(machinesOwn)) return "";
    return /^[0-9a-f]{32}$/.exec(readFileSync("/etc/machine-id", "utf8").trim())?.[0] ?? "";
  } catch {
    return "";
  }
}

/** Linux: clock ticks from the machine's start on, the 22nd field of proc_pid_stat(5), whose second may hold blanks. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform !== "linux") {
      const shown = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { env: { LC_ALL: "C", TZ: "UTC" } });
      return shown.toString().trim();
    }
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
