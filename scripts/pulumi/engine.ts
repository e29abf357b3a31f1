import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import { build } from "./build";
import { download, official, type ReleaseAddresses } from "./download";
import { withLock } from "./lock";
import { stderrLog, type Log } from "./log";
import { allOnPath, cacheFolder, executable, makeCacheFolder } from "./paths";
import { askVersion, atLeast, oldest, pinned } from "./versions";

/** A pulumi CLI that runs on this machine. */
export interface Engine {
  /** Absolute path of the executable. */
  path: string;
  /** Its version without the v: `3.250.0`. */
  version: string;
  from: "PATH" | "cache" | "download" | "go build";
}

export interface FindEngineOptions {
  log?: Log;
  env?: NodeJS.ProcessEnv;
  /** Where releases are downloaded from; tests give a server of their own. */
  release?: ReleaseAddresses;
  /** See BuildOptions. */
  intervalMs?: number;
  goPlaces?: readonly string[];
}

/**
 * Finds or gets the real pulumi CLI: on PATH, in the cache outside the work tree, as the official download, or built
 * from the sources that scripts/pulumi-cli/go.mod pins. Says in one line which it uses.
 * @throws GuardianError if there is no way here to have one; it names the mend for each way
 */
export async function findEngine(options: FindEngineOptions = {}): Promise<Engine> {
  const log = options.log ?? stderrLog();
  const env = options.env ?? process.env;
  const engine = (await fromPath(env, log)) ?? (await fromCache(env)) ?? (await get(env, log, options));
  log.line(`using pulumi ${engine.version} (${engine.from}: ${engine.path})`);
  return engine;
}

async function fromPath(env: NodeJS.ProcessEnv, log: Log): Promise<Engine | undefined> {
  for (const path of allOnPath("pulumi", env)) {
    const version = await askVersion(path, env);
    if (version && atLeast(version, oldest)) return { path, version, from: "PATH" };
    const why = version ? `is ${version}, ${oldest} or newer is needed` : "does not run";
    log.line(`passing over ${path}: it ${why}`);
  }
  return undefined;
}

/** Asks a cached engine for its version once, and notes which file it was that ran here: to ask takes as long as half a command. */
async function fromCache(env: NodeJS.ProcessEnv): Promise<Engine | undefined> {
  const path = join(cacheFolder(env), "pulumi");
  const found = { path, version: pinned, from: "cache" } as const;
  const file = executable(path) ? statSync(path) : undefined;
  if (!file) return undefined;
  const it = `${process.platform} ${process.arch} ${file.ino} ${file.size} ${file.mtimeMs} ${file.ctimeMs}`;
  const note = join(cacheFolder(env), ".ran");
  try {
    if (readFileSync(note, "utf8") === it) return found;
  } catch {
    // nobody has asked it yet
  }
  if ((await askVersion(path, env)) !== pinned) return undefined;
  try {
    writeFileSync(note, it);
  } catch {
    // a folder that is read only: it is asked again the next time
  }
  return found;
}

async function get(env: NodeJS.ProcessEnv, log: Log, options: FindEngineOptions): Promise<Engine> {
  const folder = cacheFolder(env);
  makeCacheFolder(folder);
  return withLock(join(folder, "getting.lock"), log, async () => {
    const there = await fromCache(env);
    if (there) return there;
    clean(folder);
    const found = { path: join(folder, "pulumi"), version: pinned };
    const reasons: string[] = [];
    const ways: [Engine["from"], () => Promise<void>][] = [
      ["download", () => download(folder, log, options.release ?? official)],
      ["go build", () => build(folder, { env, log, intervalMs: options.intervalMs, goPlaces: options.goPlaces })],
    ];
    for (const [from, way] of ways) {
      try {
        await way();
        return { ...found, from };
      } catch (err) {
        const reason = err instanceof Error ? err.message : String(err);
        reasons.push(`${from}: ${reason}`);
        log.line(`${from} of pulumi ${pinned} is not possible: ${reason}`);
      }
    }
    throw noEngine(reasons, env);
  });
}

/** What a killed predecessor left half done; only the holder of the lock may take it away. */
function clean(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name.startsWith(".partial-")) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function noEngine(reasons: readonly string[], env: NodeJS.ProcessEnv): GuardianError {
  return new GuardianError("pulumi-missing", {
    what: `There is no usable pulumi CLI and none could be had (${reasons.join(" | ")})`,
    where: `PATH, and the cache ${cacheFolder(env)}`,
    todo: [
      `install Pulumi ${oldest} or newer so that \`pulumi\` is on PATH (https://www.pulumi.com/docs/install/)`,
      "let this machine reach get.pulumi.com and github.com, and run the command again",
      "install Go (version: scripts/pulumi-cli/go.mod) where a Go module proxy can be reached, and run it again",
      `bring the file: put the \`pulumi\` ${pinned} executable for this machine into the cache folder`,
    ],
  });
}
