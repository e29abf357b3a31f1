import { execFile } from "node:child_process";
import { join } from "node:path";

export const root = join(__dirname, "..", "..");

/** Runs `npm run bench` without npm. @param env what differs from this process's */
export function bench(
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const command = ["--require", "tsx/cjs", join(root, "bench", "main.ts"), ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, command, { cwd: root, env: { ...process.env, ...env } }, (err, stdout, stderr) =>
      resolve({ code: err?.code ?? 0, stdout, stderr }),
    );
  });
}
