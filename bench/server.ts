import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer, type Server, type ServerOptions } from "../engine/server/server";
import { newestDumpable } from "../scripts/postgres/newest";
import { createV6, type Logins } from "../scripts/v6/database";
import type { Run } from "./benchmark";

/** Runs some work on a server of its own, by default a PostgreSQL 17, which goes with it; a signal ends long statements too. */
export async function withServer<T>(
  { say, signal }: Pick<Run, "say" | "signal">,
  options: Partial<ServerOptions>,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const server = await startServer({ major: 17, say, ...options });
  const stop = (): void => void server.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await work(server);
  } finally {
    signal.removeEventListener("abort", stop);
    await server.stop();
  }
}

/** Runs some work in a folder of its own, which goes with it. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "guardian-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs some work in a folder of its own and on a v6 of its own, on the newest server that can be dumped; both go with it. */
export function withDatabase<T>(
  run: Run,
  work: (folder: string, logins: Logins) => Promise<T>,
  settings: Record<string, string> = {},
): Promise<T> {
  const { users = 1000 } = run.options;
  return inFolder(async (folder) => {
    const { major, why } = await newestDumpable();
    run.say(`server: ${why}; v6 with ${users} users`);
    return withServer(run, { major, settings }, async (server) =>
      work(folder, await createV6(server, "guardian", { users })),
    );
  });
}
