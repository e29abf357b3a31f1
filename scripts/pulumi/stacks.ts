import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { GuardianError } from "../../engine/base/errors";
import { nearest, pulumiCommand } from "../../spec";
import type { CommandLine } from "./arguments";
import type { Log } from "./log";
import { pulumi, type PulumiResult } from "./run";

/** The stack of this clone's own, made on first use: its configuration is Pulumi.dev.yaml. */
const own = "dev";

/** A clone's own backend: the project, the folder of its state, PULUMI_HOME, and the environment that points there. */
interface Place {
  project: string;
  state: string;
  home: string;
  env: NodeJS.ProcessEnv;
}

/** Milliseconds in which another first run, which has just made the stack, would select it. */
const selectingMs = 5000;

/** The name in Pulumi.yaml; a file without one is the CLI's to complain about. */
function projectName(project: string): string {
  try {
    const file = parse(readFileSync(join(project, "Pulumi.yaml"), "utf8")) as { name?: string } | null;
    return file?.name ?? "";
  } catch {
    return "";
  }
}

function folderOf(local: Place): string {
  return join(local.state, ".pulumi", "stacks", projectName(local.project));
}

/** Names of files of stacks: their states, and what a removed stack leaves (`<stack>.json.bak`; diyBackend.removeStack). */
function files(local: Place): string[] {
  const folder = folderOf(local);
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** @returns the names of the stacks that a clone's own backend holds, sorted */
export function stacksIn(local: Place): string[] {
  return files(local)
    .flatMap((file) => /^(.+)\.json(?:\.gz)?$/.exec(file)?.[1] ?? [])
    .sort();
}

/**
 * The stack that is selected for a project: PULUMI_STACK, else what the engine keeps by the project's name and the SHA-1 of
 * its file's path (sdk/go/common/workspace).
 * @param home PULUMI_HOME
 */
export function selectedStack(project: string, home: string, env: NodeJS.ProcessEnv): string | undefined {
  if (env["PULUMI_STACK"]) return basename(env["PULUMI_STACK"]); // organization/project/stack
  const key = createHash("sha1").update(join(project, "Pulumi.yaml")).digest("hex");
  try {
    const file = join(home, "workspaces", `${projectName(project)}-${key}-workspace.json`);
    const { stack } = JSON.parse(readFileSync(file, "utf8")) as { stack?: string };
    return stack ? basename(stack) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Sees to it that a command has the stack that is meant. Where this backend never held a stack and none is selected, dev is
 * made and selected; what was meant for another stack must not be done to dev.
 * @throws GuardianError with the stacks that there are, also where PULUMI_STACK names none of them
 */
export async function ensureStack(local: Place, engine: string, log: Log): Promise<void> {
  if (!projectName(local.project)) return;
  const selected = (): boolean => {
    const name = selectedStack(local.project, local.home, local.env);
    return name !== undefined && stacksIn(local).includes(name);
  };
  if (selected()) return;
  const named = local.env["PULUMI_STACK"];
  if (named && basename(named) !== own) throw notThere(local, basename(named));
  const run = (verb: "init" | "select"): Promise<PulumiResult> =>
    pulumi(["stack", verb, own, "--non-interactive", "--color=never"], {
      cwd: local.project,
      env: local.env,
      engine,
      stdio: "pipe",
    });
  const others = files(local).filter((file) => !file.startsWith(`${own}.json`));
  if (stacksIn(local).length > 0 || others.length > 0) {
    while (isNew(local) && !selected()) await sleep(50);
    if (selected()) return;
    throw unselected(local, others);
  }
  const without = stackFiles(local.project);
  if (without.length > 0 && !without.includes(own)) throw withoutOwn(local, without);
  const first = await run("init");
  // Of two first runs at once one creates the stack, and the other finds it there.
  const result = first.code !== 0 && stacksIn(local).includes(own) ? await run("select") : first;
  if (result.code !== 0) {
    throw new GuardianError("command-failed", {
      what: `The stack ${own} could not be created: ${result.stderr.trim()}`,
      where: local.state,
      todo: "mend what the message names, or log in to a backend of your own: npm run pulumi -- login",
    });
  }
  log.line(`${first === result ? "created" : "selected"} the stack ${own} in .guardian/state`);
}

/** @returns the stacks that the project has files of, sorted */
const stackFiles = (project: string): string[] =>
  readdirSync(project)
    .flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [])
    .sort();

/**
 * What follows where a stack is made that has no file here: it may be a slip of the pen, or a name of one's own.
 * @returns lines to show once it is made
 */
export function withoutFile({ verb, object, named = "" }: CommandLine, project: string): string[] {
  const making = verb === "stack" && (object === "init" || object === "new") && named !== "";
  const [stack, names] = [basename(named), making ? stackFiles(project) : []];
  if (names.length === 0 || names.includes(stack)) return [];
  const near = nearest(stack, names);
  return [
    `the stack ${stack} has no file Pulumi.${stack}.yaml, as ${names.join(", ")} have: every key has its default, and the connection is libpq's own (PGHOST and the rest)`,
    `  to do: if it is a name of your own, set what it needs: ${pulumiCommand("config set")}`,
    `     or: if ${near} was meant: ${pulumiCommand(`stack rm ${stack}`)}, then ${pulumiCommand(`stack init ${near}`)}`,
  ];
}

/** foundation/ has nothing to try things on: a dev that nobody asked for would configure nothing. */
function withoutOwn(local: Place, names: readonly string[]): GuardianError {
  return new GuardianError("stack-unselected", {
    what: `No stack is selected, and this project has no ${own}; its files are of ${names.join(", ")}`,
    where: local.project,
    todo: `make and select the one that is meant: ${pulumiCommand(`stack init ${names.join(" | ")}`)}`,
  });
}

function notThere(local: Place, named: string): GuardianError {
  const there = stacksIn(local);
  return new GuardianError("stack-unknown", {
    what: `There is no stack ${named} here, which PULUMI_STACK names; ${there.length > 0 ? `there are: ${there.join(", ")}` : "there is none at all"}`,
    where: local.state,
    todo: [`make it: ${pulumiCommand(`stack init ${named}`)}`, "mend PULUMI_STACK, or unset it"],
  });
}

/** Another first run may have made it in this moment. */
function isNew(local: Place): boolean {
  const made = statSync(join(folderOf(local), `${own}.json`), { throwIfNoEntry: false });
  return made !== undefined && Date.now() - made.mtimeMs < selectingMs;
}

function unselected(local: Place, others: readonly string[]): GuardianError {
  const there = stacksIn(local);
  const gone = [...new Set(others.map((file) => file.replace(/\.json.*$/, "")))];
  return new GuardianError("stack-unselected", {
    what:
      there.length > 0
        ? `No stack is selected, and this command does not say which is meant; there are: ${there.join(", ")}`
        : `No stack is selected, and none is left here (${gone.join(", ")} was); which is meant cannot be told`,
    where: local.state,
    todo:
      there.length > 0
        ? [
            `select it: npm run pulumi -- stack select ${there.join(" | ")}`,
            "name it for this command alone: --stack NAME",
            ...(there.includes(own)
              ? []
              : [`make and select the one to try things on: npm run pulumi -- stack init ${own}`]),
          ]
        : `make and select the one that is meant: npm run pulumi -- stack init ${[own, ...gone].join(" | ")}`,
  });
}

/** @returns the name of the stack that a command line is about, undefined where none is named or selected */
export function stackMeant(
  line: CommandLine,
  project: string,
  home: string,
  env: NodeJS.ProcessEnv,
): string | undefined {
  const named = line.stack.at(-1)?.replace(/^--stack=/, "") ?? line.named;
  return named === undefined ? selectedStack(project, home, env) : basename(named);
}
