import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { findEngine } from "../../scripts/pulumi/engine";
import { environment, projectFile } from "../../scripts/stack/backend";
import { countSteps, readEvents } from "../../scripts/stack/events";
import { OwnStack } from "../../scripts/stack/own";
import { clientFolder } from "../../scripts/pg-clients";
import { major, type Login } from "./postgres";

/** The project's folder. */
export const root = join(__dirname, "..", "..");

/** A stack with a backend, a PULUMI_HOME and a backup folder of its own. */
export interface TestStack {
  /** Its temporary folder: project, state, home, backups. */
  folder: string;
  /** Lines that the engine showed: diagnostics and progress of all operations so far. */
  lines: string[];
  up: (options?: RunOptions) => Promise<Outcome>;
  preview: (options?: RunOptions) => Promise<Outcome>;
  refresh: (options?: RunOptions) => Promise<Outcome>;
  destroy: (options?: RunOptions) => Promise<Outcome>;
  set: (config: Record<string, string>) => void;
  /** Another command of the CLI. @throws GuardianError if it fails */
  must: (args: readonly string[]) => Promise<string>;
  /** The stack's resources as the state has them, without the stack, its stages and the provider. */
  resources: () => StateResource[];
  /** Changes the state by hand: gets the file's text, gives the new one. */
  edit: (change: (state: string) => string) => void;
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
  /** Puts an earlier stack's files into the folder. */
  begin?: (folder: string) => void;
  config?: Record<string, string>;
  env?: Record<string, string>;
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

/** Path of the CLI, asked for its version once a process: that is a quarter of a second of its own. */
let engine: Promise<string> | undefined;
const found = async (): Promise<string> => (await findEngine({ log: { line: () => undefined } })).path;

/** Stacks that were made and no more, by their name: the CLI takes a third of a second for the key of a passphrase. */
const initialised = new Map<string, string>();

/** Folders that go with this process. */
const kept: string[] = [];
process.once("exit", () => kept.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** @returns a copy of the folder that stays until the process ends */
export function keep(folder: string): string {
  const copy = mkdtempSync(join(tmpdir(), "guardian-kept-"));
  kept.push(copy);
  cpSync(folder, copy, { recursive: true });
  return copy;
}

async function openStack(options: StackOptions, folder: string): Promise<TestStack> {
  const { database, name = "dev", plugin, modules } = options;
  if (plugin && modules) symlinkSync(modules, join(dirname(plugin), "node_modules"));
  options.begin?.(folder);
  const backend = { state: folder, home: join(folder, "home"), passphrase: "tests only" };
  const env = environment(backend, {
    PGHOST: database.host,
    PGPORT: String(database.port),
    PGUSER: database.user,
    PGPASSWORD: database.password,
    PGDATABASE: database.database,
    GUARDIAN_PG_BIN: await clientFolder(major),
    // Nobody else uses this v6: a busy machine must not make a module wait half a minute for a moment to lock it.
    GUARDIAN_LOCK_HOLD_MS: "5000",
    GUARDIAN_LOCK_PAUSE_MS: "200",
    GUARDIAN_LOCK_PAUSE_TIMES: "5",
    GUARDIAN_PATIENCE_MS: "2000",
    GUARDIAN_QUERY_TURNS: "1", // what a gate times is not what is tested
    GOGC: "off", // the CLI has ended before its garbage is worth a collection
    NO_COLOR: "1",
    PULUMI_DEBUG_COMMANDS: "true", // without it there is no --event-log
    ...options.env,
  });
  const own = new OwnStack({ name, folder, engine: await (engine ??= found()), env });
  const set = (config: Record<string, string>): void =>
    own.configure(Object.fromEntries(Object.entries(config).map(([key, value]) => [`guardian:${key}`, value])));
  const state = join(folder, ".pulumi", "stacks", "guardian", `${name}.json`);
  const made = initialised.get(name);
  if (made && !existsSync(state)) cpSync(made, folder, { recursive: true });
  writeFileSync(join(folder, "Pulumi.yaml"), stringify(projectFile(plugin)));
  if (!existsSync(state)) {
    await own.must(["stack", "init", name]);
    initialised.set(name, keep(folder));
  }
  set({
    legacyConsent: JSON.stringify({ mode: "assumed", legalBasis: "consent", statement: "test statement" }),
    // A proof takes seconds, and is another story.
    backup: JSON.stringify({ directory: join(folder, "backups"), jobs: 1, verify: "list" }),
    ...options.config,
  });
  const lines: string[] = [];
  const run = async (
    verb: "up" | "preview" | "refresh" | "destroy",
    { expectFailure = false, flags = [] }: RunOptions = {},
  ): Promise<Outcome> => {
    const printed: string[] = [];
    // Not in the stack's folder: it holds debug events, and those hold secrets in clear.
    const log = `${folder}.${name}.events`;
    const consent = verb === "preview" ? [] : ["--yes", "--skip-preview"];
    const began = Date.now();
    const { code } = await own.pulumi(
      [verb, ...consent, "--stack", name, "--event-log", log, "--non-interactive", ...flags],
      {
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
    folder,
    lines,
    set,
    must: (args) => own.must([...args, "--stack", name]),
    up: (o) => run("up", o),
    preview: (o) => run("preview", o),
    refresh: (o) => run("refresh", o),
    destroy: (o) => run("destroy", o),
    resources: () => {
      const { checkpoint } = JSON.parse(readFileSync(state, "utf8")) as {
        checkpoint: { latest?: { resources?: StateResource[] } };
      };
      return (checkpoint.latest?.resources ?? []).filter(({ type }) => type.startsWith("guardian-migration:"));
    },
    edit: (change) => writeFileSync(state, change(readFileSync(state, "utf8"))),
  };
}
