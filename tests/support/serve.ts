// A process of its own for tests of what happens to a server when its process ends: starts one, prints it as JSON, and
// stays until it is told or killed. Arguments: major version.
import { startServer, type Major } from "../../engine/server/server";

async function main(): Promise<void> {
  const server = await startServer({ major: Number(process.argv[2]) as Major });
  process.stdout.write(`${JSON.stringify({ pid: server.pid, port: server.port, folder: server.folder })}\n`);
  setInterval(() => undefined, 60_000);
}

void main();
