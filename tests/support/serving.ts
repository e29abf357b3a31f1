import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";

/** What a process of its own said of the server that it keeps. */
interface Serving {
  child: ChildProcess;
  pid: number;
  port: number;
  folder: string;
}

/**
 * A server in a process of its own, for what becomes of it when that process ends.
 * @param args of support/serve.ts: a major version, and "scratch" for a scratch server
 * @param how the process's variables besides, and its user
 */
export async function serve(
  args: readonly string[],
  how: { env?: Record<string, string>; uid?: number } = {},
): Promise<Serving> {
  const { env, uid } = how;
  const child = spawn(process.execPath, ["--require", "tsx/cjs", join(__dirname, "serve.ts"), ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const line = await new Promise<string>((done, fail) => {
    child.stdout.once("data", (data: Buffer) => done(data.toString()));
    child.once("exit", (code) => fail(new Error(`ended with ${code}`)));
  });
  return { child, ...(JSON.parse(line) as Omit<Serving, "child">) };
}
