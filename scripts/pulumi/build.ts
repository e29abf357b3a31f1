import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { allOnPath, executable } from "./paths";
import { progress, type Log } from "./log";
import { askVersion, atLeast, parseVersion, pinned } from "./versions";

/** The Go module whose go.mod and go.sum pin every source that goes into the engine. */
const moduleFolder = resolve(__dirname, "../pulumi-cli");

const command = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";

/** Without the version the Automation API cannot read what engine it talks to. */
const linkerFlags = `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${pinned}`;

export interface BuildOptions {
  env: NodeJS.ProcessEnv;
  log: Log;
  /** How often a line says that it still builds, where there is no terminal; default 15 s. */
  intervalMs?: number | undefined;
  /** Where Go is looked for after PATH and GOROOT; default: where go.dev's own installer puts it. */
  goPlaces?: readonly string[] | undefined;
}

/**
 * Builds the engine from source by Go's module proxy and renames it into the folder when it runs.
 * @throws Error with one sentence that says why not: no Go, a Go that is too old, or what the build said last
 */
export async function build(folder: string, options: BuildOptions): Promise<void> {
  await compile({ command, target: join(folder, "pulumi"), what: `pulumi ${pinned}` }, options, async (made) => {
    if ((await askVersion(made, options.env)) !== pinned) throw new Error("the pulumi that was built does not run");
  });
}

/** Builds a command of the pinned module beside its target and renames it there once `check` is content with it. */
async function compile(
  { command, target, what }: { command: string; target: string; what: string },
  options: BuildOptions,
  check: (made: string) => Promise<void>,
): Promise<void> {
  const go = findGo(options.env, options.goPlaces);
  const required = requiredGo();
  if (!go) throw new Error(`there is no Go on PATH (${required} or newer is needed)`);
  // In the module's folder: with GOTOOLCHAIN=auto an older Go answers as the toolchain it would fetch.
  const version = await run(go, ["version"], options, () => undefined).catch(() => undefined);
  const found = parseVersion(version?.replace(/^go version go/, "") ?? "");
  if (!found || !atLeast(found, required)) {
    throw new Error(`the Go at ${go} is ${found ?? "too old or broken"}, ${required} or newer is needed`);
  }
  const scratch = join(dirname(target), `.partial-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  const made = join(scratch, basename(target));
  let packages = 0;
  const done = progress(
    options.log,
    (s) =>
      `building ${what} (${s} s, ${packages} packages compiled; about 3–6 minutes on 2 cores, only the first time)`,
    options.intervalMs,
  );
  try {
    // -v names each package it compiles, one a line.
    const flags = ["-mod=readonly", "-buildvcs=false", "-v", "-ldflags", linkerFlags, "-o", made];
    await run(go, ["build", ...flags, command], options, () => packages++);
    await check(made);
    renameSync(made, target);
  } finally {
    done();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Builds the part of the Node language host that `package gen-sdk --language nodejs` asks for, unless the folder has it.
 * @returns a folder for PATH; not the engine's own, where it would pass for the whole language host
 * @throws Error as build does
 */
export async function buildGenerator(folder: string, options: BuildOptions): Promise<string> {
  const bin = join(folder, "gen-sdk");
  const target = join(bin, "pulumi-language-nodejs");
  if (executable(target)) return bin;
  await compile({ command: "./gen-sdk", target, what: "the SDK generator" }, options, () => Promise.resolve());
  return bin;
}

function findGo(env: NodeJS.ProcessEnv, places: readonly string[] = ["/usr/local/go/bin/go"]): string | undefined {
  const root = env["GOROOT"] ? [join(env["GOROOT"], "bin", "go")] : [];
  return [...allOnPath("go", env), ...root, ...places].find(executable);
}

function requiredGo(): string {
  const version = /^go (\S+)$/m.exec(readFileSync(join(moduleFolder, "go.mod"), "utf8"))?.[1];
  if (!version) throw new Error("scripts/pulumi-cli/go.mod names no Go version");
  return version;
}

/** Runs Go in the module's folder and resolves with its stdout; lines of stderr are handed on as they come. */
function run(go: string, args: string[], options: BuildOptions, onLine: (line: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    // A go.work above this folder would replace what go.mod pins.
    const env = { ...options.env, GOWORK: "off" };
    const child = spawn(go, args, { cwd: moduleFolder, env, stdio: ["ignore", "pipe", "pipe"] });
    const stop = (): void => void child.kill("SIGTERM");
    process.once("exit", stop);
    const lines: string[] = [];
    let stdout = "";
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        lines.push(line);
        onLine(line);
      }
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      process.off("exit", stop);
      const last = [...lines, rest].filter((line) => line.trim()).slice(-3);
      if (code === 0) resolve(stdout);
      else reject(new Error(`go ${args[0] ?? ""} ended with ${signal ?? `code ${code ?? 1}`}: ${last.join("; ")}`));
    });
  });
}
