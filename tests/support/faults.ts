import { spawn } from "node:child_process";
import { join } from "node:path";

const clone = join(__dirname, "..", "..");

/** `npm run faults` in a process of its own, with a temporary folder of its own. */
export function faults(
  args: string[],
  TMPDIR: string,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ["--import", "tsx", "scripts/faults.ts", ...args], {
    cwd: clone,
    env: { ...process.env, TMPDIR },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => (out[stream] += text));
  }
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...out })));
}
