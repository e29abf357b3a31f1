// A process of its own for tests of what happens to a server when its process ends: starts one, prints it as JSON, and
// stays until it is told or killed. Arguments: major version; "scratch" for a scratch server.
import { openScratch } from "../../engine/scratch";
import { startServer, type Major } from "../../engine/server/server";

async function main(): Promise<void> {
  const [, , version, what] = process.argv;
  const major = Number(version) as Major;
  const tell = (told: object): unknown => process.stdout.write(`${JSON.stringify(told)}\n`);
  if (what === "scratch") {
    const scratch = await openScratch({ major, bytes: 1, owner: "a test's", systemIdentifier: "another" });
    tell({ folder: scratch.settings.fields.host });
  } else {
    const { pid, port, folder } = await startServer({ major });
    tell({ pid, port, folder });
  }
  setInterval(() => undefined, 60_000);
}

void main();
