/** `npm run pulumi -- ARGS`: the real CLI on this project; help.ts says what is added to it. */
import { existsSync, realpathSync } from "node:fs";
import { constants, homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { GuardianError } from "../../engine/base/errors";
import { endWith } from "../command";
import { calledBy, workOn, wrapperCall } from "../../spec/command";
import { parse, type CommandLine } from "./arguments";
import { buildGenerator } from "./build";
import { findEngine } from "./engine";
import { help } from "./help";
import { localBackend, prepare } from "./local";
import { stderrLog, type Log } from "./log";
import { hasLogin } from "./login";
import { cacheFolder, hasLanguageHost } from "./paths";
import { withoutPlugins } from "./packages";
import { pendingHints } from "./backend/pending";
import { programOf } from "./program";
import { pulumi } from "./run";
import { passphraseHints, withoutSalt } from "./salt";
import { holdSignals, passSignals, type Held } from "./signals";
import { ensureStack, stackMeant, withoutFile } from "./stacks";
import { giveBack, lockHints } from "./backend/stale";
import { mendTorn } from "./backend/torn";

/** The clone: the Pulumi project that is meant unless -C says otherwise. */
const clone = resolve(__dirname, "../..");

/** Commands that change or need no state: a login must reach the user's own home, the others need no home at all. */
const stateless = new Set(["login", "logout", "version", "plugin", "package", "schema", "gen-completion"]);

async function main(argv: string[], log: Log): Promise<number> {
  const line = parse(argv);
  // For errors, whose ways out name commands: the engine hands it on to program and plugin.
  process.env[calledBy] = wrapperCall(line.folder);
  if (line.verb === undefined || (line.verb === "help" && line.object === undefined)) process.stdout.write(`${help}\n`);
  const { path: engine, from } = await findEngine({ log });
  // An engine that is pinned here must not ask to be replaced; the user's own may.
  if (from !== "PATH") process.env["PULUMI_SKIP_UPDATE_CHECK"] ??= "true";
  const hosted = hasLanguageHost(engine, process.env);
  if (line.needsHost && !hosted) throw noHost(line.verb ?? "");
  const project = line.folder && existsSync(line.folder) ? realpathSync(line.folder) : (line.folder ?? clone);
  const local = needsLocal(line, project) ? localBackend(project, process.env) : undefined;
  const env = local?.env ?? process.env;
  const held = holdSignals();
  try {
    if (local) prepare(local, log);
    if (usesState(line)) (await mendTorn(env["PULUMI_BACKEND_URL"])).forEach((said) => log.line(said));
    if (local && line.needsStack) await ensureStack(local, engine, log);
    return await run(line, { engine, project, env, hosted }, log, held);
  } finally {
    held.release();
    if (local) withoutSalt(local);
  }
}

const usesState = (line: CommandLine): boolean => !line.help && line.verb !== undefined && !stateless.has(line.verb);

function needsLocal(line: CommandLine, project: string): boolean {
  if (!usesState(line)) return false;
  return existsSync(join(project, "Pulumi.yaml")) && !hasLogin(project, process.env);
}

interface Run {
  engine: string;
  project: string;
  env: NodeJS.ProcessEnv;
  hosted: boolean;
}

/** Codes of an engine that a signal ended which asks for an end: SIGHUP, SIGINT, SIGTERM. */
const stoppedCodes = [129, 130, 143];

async function run(
  line: CommandLine,
  { engine, project, env: given, hosted }: Run,
  log: Log,
  held: Held,
): Promise<number> {
  const home = given["PULUMI_HOME"] ?? join(given["HOME"] ?? homedir(), ".pulumi");
  const meant = stackMeant(line, project, home, given);
  const generating = line.verb === "package" && line.object === "gen-sdk" && !hosted;
  const env = generating
    ? await withGenerator(given, log)
    : { ...given, ...withoutPlugins(project, meant, given, line.args) };
  const terminal = process.stdin.isTTY;
  const began = Date.now();
  let release: (() => void) | undefined;
  let pid = 0;
  if (held.stopped) return 128 + constants.signals[held.stopped];
  if (meant !== undefined) workOn(meant);
  const alone = line.operation === "destroy" && (await byStateAlone(line, { engine, project, env }));
  // Asked before: the engine may write one with a salt.
  const bare = withoutFile(line, project);
  const result = await pulumi(alone ? [...line.args, "--run-program=false"] : line.args, {
    cwd: project,
    env,
    engine,
    ...(!hosted && { program: programOf(project) }),
    detached: !terminal,
    onStart: (child) => {
      release = passSignals(child, terminal);
      held.release();
      pid = child.pid ?? 0;
      if (held.stopped) child.kill("SIGINT");
    },
  });
  release?.();
  const backend = env["PULUMI_BACKEND_URL"];
  if (stoppedCodes.includes(result.code)) giveBack(backend, pid).forEach((line) => log.line(line));
  // A preview takes no lock and waits for none: what stopped it is something else.
  const hints = result.code === 0 || line.operation === "preview" ? [] : lockHints(backend, meant);
  if (hints.length === 0 && line.operation) hints.push(...pendingHints(backend, began, result.code === 0));
  if (result.code !== 0 && usesState(line)) hints.push(...passphraseHints(project, meant, env));
  if (result.code === 0) hints.push(...bare);
  hints.forEach((hint) => console.error(hint));
  return result.code;
}

/**
 * Whether a destroy goes by the state without the program: of an empty stack there is nothing to take back, and the program
 * would put its stages into the state; and it says of no resource that it is protected, so that the engine would delete
 * what `state protect` protects. False where it cannot be told: the command itself says what is wrong then.
 */
async function byStateAlone(line: CommandLine, { engine, project: cwd, env }: Omit<Run, "hosted">): Promise<boolean> {
  if (line.args.some((arg) => arg.startsWith("--run-program"))) return false;
  const args = ["stack", "export", ...line.stack];
  const { code, stdout } = await pulumi(args, { cwd, env, engine, stdio: "pipe" });
  if (code !== 0) return false;
  const { deployment } = JSON.parse(stdout) as { deployment?: { resources?: { protect?: boolean }[] } };
  const resources = deployment?.resources ?? [];
  return resources.length === 0 || resources.some(({ protect }) => protect === true);
}

/** gen-sdk asks the language host for a Node SDK; where there is none, our own build of that part of it answers. */
async function withGenerator(env: NodeJS.ProcessEnv, log: Log): Promise<NodeJS.ProcessEnv> {
  const bin = await buildGenerator(cacheFolder(env), { env, log });
  return { ...env, PATH: `${bin}${delimiter}${env["PATH"] ?? ""}` };
}

function noHost(verb: string): GuardianError {
  return new GuardianError("pulumi-missing", {
    what: `pulumi ${verb} needs Pulumi's Node language host, which comes with the official Pulumi only`,
    todo: [
      "install Pulumi so that `pulumi` is on PATH (https://www.pulumi.com/docs/install/)",
      "use preview, up, refresh or destroy, which work without it",
    ],
  });
}

const ended = main(process.argv.slice(2), stderrLog()).catch((err: unknown) => {
  console.error(`error: ${err instanceof Error ? err.message : String(err)}`); // as the CLI says it
  return 1;
});
endWith(ended);
