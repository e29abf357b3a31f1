import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { PulumiResult } from "../../scripts/pulumi/run";

const root = join(__dirname, "..", "..");

/** The stack's settings as the project has them: nothing that the wrapper does may change the file. */
export const devConfig = `# The dev stack.
config:
  tiny:word: hello # to be kept
`;

/** A program that fails, waits or notes that it ran, as the environment says. */
const program = `import * as pulumi from "@pulumi/pulumi";
import { appendFileSync } from "node:fs";
export = async () => {
  new pulumi.ComponentResource("tiny:index:Thing", "thing");
  if (process.env["RAN"]) appendFileSync(process.env["RAN"], "ran ");
  if (process.env["FAIL"] === "run") throw new pulumi.RunError("what\\n  to do: " + process.env["GUARDIAN_PULUMI"]);
  if (process.env["FAIL"] === "throw") throw new Error("thrown by the program");
  if (process.env["WAIT"]) await new Promise((resolve) => setTimeout(resolve, 600_000));
  return { word: new pulumi.Config("tiny").require("word") };
};
`;

/** A run of the wrapper: its process, and what it said when it ended. */
interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<PulumiResult>;
}

/** A Pulumi project that needs no server, and a user without a login: for what `npm run pulumi` does around the engine. */
export interface TinyProject {
  /** Everything is in here: the project, the user's home, and what a test notes. */
  readonly folder: string;
  readonly home: string;
  readonly project: string;
  /** A path in the project's `.guardian`. */
  at(...names: string[]): string;
  /** The user's environment: no variable of Pulumi's but `extra`; the engine's cache is the real one. */
  environment(extra?: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
  /** Starts `npm run pulumi -- args`, without npm. */
  start(args: string[], extra?: NodeJS.ProcessEnv): Started;
  /** As `start`, to its end. */
  run(args: string[], extra?: NodeJS.ProcessEnv): Promise<PulumiResult>;
  /** Writes the files: a `before` hook. */
  make(): void;
  /** Kills what still runs, and removes the folder: an `after` hook. */
  remove(): void;
}

/** A tiny project in a temporary folder of its own, whose path has spaces; `make` writes it. */
export function tinyProject(): TinyProject {
  const folder = join(tmpdir(), `guardian cli ${randomUUID()}`);
  const home = join(folder, "home");
  const project = join(folder, "a project");
  const running = new Set<ChildProcess>();

  function environment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    const env = { ...process.env };
    for (const name of Object.keys(env)) if (name.startsWith("PULUMI_")) Reflect.deleteProperty(env, name);
    const cache = env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
    // The CLI has ended before its garbage is worth a collection.
    return { ...env, HOME: home, XDG_CACHE_HOME: cache, NO_COLOR: "1", GOGC: "off", ...extra };
  }

  function start(args: string[], extra: NodeJS.ProcessEnv = {}): Started {
    const command = ["--require", "tsx/cjs", join(root, "scripts", "pulumi", "cli.ts"), "-C", project, ...args];
    const child = spawn(process.execPath, command, {
      cwd: root,
      env: environment(extra),
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    const out = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (out.stderr += text));
    const ended = new Promise<PulumiResult>((resolve) =>
      child.once("close", (code) => {
        running.delete(child);
        resolve({ code: code ?? -1, ...out });
      }),
    );
    return { child, ended };
  }

  return {
    folder,
    home,
    project,
    at: (...names) => join(project, ".guardian", ...names),
    environment,
    start,
    run: (args, extra) => start(args, extra).ended,
    make: () => write(home, project),
    remove: () => {
      for (const child of running) child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function write(home: string, project: string): void {
  for (const folder of [home, project]) mkdirSync(folder, { recursive: true });
  const runtime = "runtime: {name: nodejs, options: {typescript: false, nodeargs: --import tsx}}";
  const files = { "Pulumi.yaml": `name: tiny\n${runtime}\n`, "Pulumi.dev.yaml": devConfig, "index.ts": program };
  const all = { ...files, "package.json": '{"name": "tiny", "version": "1.0.0", "main": "index.ts"}' };
  for (const [name, text] of Object.entries(all)) writeFileSync(join(project, name), text);
  symlinkSync(join(root, "node_modules"), join(project, "node_modules"));
}
