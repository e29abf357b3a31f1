import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface ChildResult {
  /** Exit code; 128 + n if signal n ended the program. */
  readonly code: number;
  readonly stdout: string;
  /** May carry row values: see messages.ts before showing any of it. */
  readonly stderr: string;
}

export interface ChildOptions {
  readonly env: Record<string, string>;
  /** Ends the program: SIGTERM, and SIGKILL to its whole process group if it still runs 5 s later. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs its arguments as a program under a watch: file descriptor 3 is a pipe that this process holds, so when this
 * process dies, in whatever way, the pipe ends and the program is told to stop (pg_dump takes its workers along). Files
 * are made for the owner alone. `wait` comes back early when the trap has run, hence the loop.
 */
const watch = `
umask 077
"$@" 3<&- &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM INT HUP
{ cat <&3 >/dev/null 2>&1; kill -TERM "$child" 2>/dev/null; } &
watcher=$!
exec 3<&-
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
kill "$watcher" 2>/dev/null
exit "$code"
`;

/** Keeps the end of a stream: a program that repeats itself must not fill the memory. */
const kept = 4 * 1024 * 1024;

/**
 * Runs a client program to its end. Never rejects for what the program does, only if it cannot be started.
 *
 * @throws the spawn error, such as ENOENT for a missing /bin/sh.
 */
export async function runClient(path: string, args: readonly string[], options: ChildOptions): Promise<ChildResult> {
  const child = spawn("/bin/sh", ["-c", watch, "sh", path, ...args], {
    env: options.env,
    // A group of its own: ^C at the terminal reaches this process, which decides what to do.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  let hardStop: NodeJS.Timeout | undefined;
  let giveUp: () => void = () => undefined;
  const onAbort = () => {
    child.kill("SIGTERM");
    hardStop = setTimeout(() => {
      killGroup(child.pid);
      // A process that waits for a file system that is gone cannot even be killed; it is left behind.
      hardStop = setTimeout(() => giveUp(), 5000);
    }, 5000);
  };
  const texts = [child.stdout, child.stderr].map((stream) => (stream ? collect(stream) : () => ""));
  try {
    const code = await new Promise<number>((resolve, reject) => {
      giveUp = () => resolve(137);
      child.once("error", reject);
      child.once("exit", () => {
        child.stdio[3]?.destroy();
        // Workers of a pg_dump that was killed go on with the table they are at, and hold the output open.
        killGroup(child.pid);
      });
      child.once("close", (exit) => resolve(exit ?? 137));
      options.signal?.addEventListener("abort", onAbort, { once: true });
      if (options.signal?.aborted) onAbort();
    });
    return { code, stdout: texts[0]?.() ?? "", stderr: texts[1]?.() ?? "" };
  } finally {
    clearTimeout(hardStop);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => (text = (text + chunk).slice(-kept)));
  return () => text;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // gone by itself
  }
}
