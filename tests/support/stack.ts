import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import {
  LocalWorkspace,
  type ConfigMap,
  type ProjectSettings,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation";
import guardian = require("../../index");
import { findEngine } from "../../scripts/pulumi/engine";
import type { Program } from "../../scripts/pulumi/inline";
import { pulumi } from "../../scripts/pulumi/run";
import { projectFile, variables } from "../../scripts/stack/backend";
import { countSteps, readEvents } from "../../scripts/stack/events";
import { clientFolder } from "../../scripts/pg-clients";
import { major, type Login } from "./postgres";

/** The project's folder. */
export const root = join(__dirname, "..", "..");

/** A stack with a backend, a PULUMI_HOME and a backup folder of its own. */
export interface TestStack {
  stack: Stack;
  /** Its temporary folder: state, home, backups. */
  folder: string;
  /** Lines that the engine showed: diagnostics and progress of all operations so far. */
  lines: string[];
  up: (options?: RunOptions) => Promise<Outcome>;
  preview: (options?: RunOptions) => Promise<Outcome>;
  refresh: (options?: RunOptions) => Promise<Outcome>;
  destroy: (options?: RunOptions) => Promise<Outcome>;
  set: (config: Record<string, string>) => Promise<void>;
  /** The stack's resources as the state has them, without the stack, its stages and the provider. */
  resources: () => Promise<StateResource[]>;
}

interface StateResource {
  urn: string;
  type: string;
  id?: string;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
  initErrors?: string[];
}

interface RunOptions {
  expectFailure?: boolean;
  /** Flags of the CLI besides. */
  flags?: string[];
}

/** What an operation did. */
interface Outcome {
  ok: boolean;
  /** All that the engine printed. */
  output: string;
  /** Operations on custom resources, the provider aside: { create: 21 }. */
  changes: Record<string, number>;
  seconds: number;
}

export interface StackOptions {
  database: Login;
  /** Stack's name, "dev" if absent. */
  name?: string;
  /** Folder of an earlier stack whose state is to be used on. */
  folder?: string;
  config?: Record<string, string>;
  env?: Record<string, string>;
  program?: PulumiFn;
  /** Folder of the plugin, where it is not the product's own. */
  plugin?: string;
  /** node_modules for a plugin that is a copy: a link to it is made beside. */
  modules?: string;
}

/** Runs a story on the real engine with the product's own program, inline. */
export async function withStack<T>(options: StackOptions, story: (stack: TestStack) => Promise<T>): Promise<T> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "guardian-stack-"));
  try {
    return await story(await openStack(options, folder));
  } finally {
    if (!options.folder) rmSync(folder, { recursive: true, force: true });
  }
}

async function openStack(options: StackOptions, folder: string): Promise<TestStack> {
  if (options.plugin && options.modules) symlinkSync(options.modules, join(dirname(options.plugin), "node_modules"));
  const engine = await findEngine({ log: { line: () => undefined } });
  process.env["PATH"] = [dirname(engine.path), process.env["PATH"]].join(delimiter);
  const { host, port, user, password, database } = options.database;
  const program = options.program ?? guardian;
  const name = options.name ?? "dev";
  const envVars = {
    ...variables({ state: folder, home: join(folder, "home"), passphrase: "tests only" }),
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
    GUARDIAN_PG_BIN: await clientFolder(major),
    // Nobody else uses this v6: a busy machine must not make a module wait half a minute for a moment to lock it.
    GUARDIAN_LOCK_HOLD_MS: "5000",
    GUARDIAN_LOCK_PAUSE_MS: "200",
    GUARDIAN_PATIENCE_MS: "2000",
    ...options.env,
  };
  const stack = await LocalWorkspace.createOrSelectStack(
    { stackName: name, projectName: "guardian", program },
    {
      envVars,
      // `plugins` is part of Pulumi.yaml and missing from the SDK's type of it.
      projectSettings: projectFile(options.plugin) as ProjectSettings,
    },
  );
  const set = async (config: Record<string, string>): Promise<void> => {
    const map: ConfigMap = {};
    for (const [key, value] of Object.entries(config)) map[`guardian:${key}`] = { value };
    await stack.setAllConfig(map);
  };
  await set({
    legacyConsent: JSON.stringify({ mode: "assumed", legalBasis: "consent", statement: "test statement" }),
    backup: JSON.stringify({ directory: join(folder, "backups"), jobs: 1 }),
    ...options.config,
  });
  const lines: string[] = [];
  const run = async (
    verb: "up" | "preview" | "refresh" | "destroy",
    { expectFailure = false, flags = [] }: RunOptions = {},
  ): Promise<Outcome> => {
    const printed: string[] = [];
    // Not in the stack's folder: it holds debug events, and those hold secrets in clear.
    const log = join(stack.workspace.workDir, "events.json");
    const consent = verb === "preview" ? [] : ["--yes", "--skip-preview"];
    const began = Date.now();
    // Not stack[verb]: it asks the CLI three times more for what no test wants to know, half a second each.
    const { code } = await pulumi(
      [verb, ...consent, "--stack", name, "--event-log", log, "--non-interactive", ...flags],
      {
        cwd: stack.workspace.workDir,
        env: { ...process.env, ...envVars, NO_COLOR: "1", PULUMI_DEBUG_COMMANDS: "true" }, // without it there is no --event-log
        engine: engine.path,
        program: program as Program,
        stdio: "pipe",
        onOutput: (text) => void printed.push(text),
      },
    );
    const ok = code === 0;
    const events = existsSync(log) ? readEvents(log) : [];
    const changes = countSteps(events, verb === "preview", ({ type }) => type.startsWith("guardian-migration:"));
    rmSync(log, { force: true });
    const output = printed.join("");
    lines.push(output);
    if (ok === expectFailure)
      throw new Error(`${verb} ${ok ? "succeeded, and should not have" : "failed"}:\n${output}`);
    return { ok, output, changes, seconds: (Date.now() - began) / 1000 };
  };
  return {
    stack,
    folder,
    lines,
    set,
    up: (o) => run("up", o),
    preview: (o) => run("preview", o),
    refresh: (o) => run("refresh", o),
    destroy: (o) => run("destroy", o),
    resources: async () => {
      const state = (await stack.exportStack()) as { deployment: { resources?: StateResource[] } };
      return (state.deployment.resources ?? []).filter((resource) => resource.type.startsWith("guardian-migration:"));
    },
  };
}
