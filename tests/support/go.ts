import { execFile } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { allOnPath } from "../../scripts/pulumi/paths";

/** How Go makes a program. */
interface Recipe {
  /** The program's name. */
  name: string;
  /** What tells one version of it from another. */
  version: string;
  /** Arguments of go that put it into a folder, which is GOBIN besides. */
  args: (folder: string) => string[];
  cwd?: string;
}

/**
 * A program that is built once, from sources that Go's module proxy gives and its public log vouches for, into
 * $XDG_CACHE_HOME/guardian, else ~/.cache/guardian.
 * @returns its path
 * @throws Error that says why there is none
 */
export async function builtByGo({ name, version, args, cwd }: Recipe, env = process.env): Promise<string> {
  const caches = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "guardian");
  const folder = join(caches, `${name}-${version}`);
  const program = join(folder, name);
  if (existsSync(program)) return program;
  const [go] = [...allOnPath("go", env), "/usr/local/go/bin/go"].filter((one) => existsSync(one));
  if (go === undefined) throw new Error("there is no Go on PATH to build it with");
  const draft = `${folder}.draft-${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    const options = { env: { ...env, GOBIN: draft, GOWORK: "off" }, timeout: 500_000, ...(cwd ? { cwd } : {}) };
    await promisify(execFile)(go, args(draft), options);
    mkdirSync(folder, { recursive: true });
    renameSync(join(draft, name), program);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return program;
}
