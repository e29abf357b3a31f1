import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError } from "../base/errors";
import { alive } from "../base/process";
import { environment } from "./account";
import { postmasterPid } from "./launch";
import type { Cluster } from "./cluster";

/**
 * The id of the server that runs on this cluster. postmaster.pid survives a crash and its number may belong to another
 * process by then, so that process's command line must name our folder.
 */
export function runningPid(cluster: Cluster): number | undefined {
  const pid = postmasterPid(cluster);
  if (pid === undefined || !alive(pid)) return undefined;
  return commandLine(pid).includes(cluster.data) ? pid : undefined;
}

/** The command line of a process: from Linux itself, since small distributions have another ps, else from ps. */
function commandLine(pid: number): string {
  const file = `/proc/${pid}/cmdline`;
  if (existsSync(file)) return readFileSync(file, "utf8");
  const ps = spawnSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { env: environment(), encoding: "utf8" });
  return ps.status === 0 ? ps.stdout : "";
}

/**
 * Fast shutdown: SIGINT to the postmaster, which ends its sessions (manual, 19.5); after `seconds` SIGQUIT.
 *
 * @throws GuardianError when it is still there afterwards, or belongs to someone else.
 */
export async function stopPid(pid: number, seconds = 30): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    try {
      process.kill(pid, signal);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === "ESRCH") return;
      throw new GuardianError("server-of-another-user", {
        what: "The PostgreSQL server belongs to another user and cannot be stopped",
        where: `process ${pid}`,
        todo: "run the command as the user who started it",
        cause: err,
      });
    }
    const until = Date.now() + seconds * 1000;
    while (Date.now() < until) {
      if (!alive(pid)) return;
      await sleep(25);
    }
  }
  throw new GuardianError("dev-server-failed", {
    what: "The PostgreSQL server does not stop",
    where: `process ${pid}`,
  });
}
