import { resolve } from "node:path";

/** Global flags of the CLI that take a value as the next argument (`pulumi --help`, "Flags"). */
const valued = new Set(["--color", "--memprofilerate", "--otel-traces", "--profiling", "--tracing", "-v", "--verbose"]);

/** The commands that run the program, by each of their names; these take --client. */
const running: Record<string, "preview" | "up" | "refresh" | "destroy"> = {
  preview: "preview",
  pre: "preview",
  up: "up",
  update: "up",
  refresh: "refresh",
  destroy: "destroy",
  down: "destroy",
  dn: "destroy",
};

/** The commands that want the Node language host itself and cannot be served inline. */
const hosted = new Set(["import", "watch"]);

/** `pulumi stack …` that need no stack to be there. */
const stackless = new Set(["init", "ls", "list", "select", "new", "unselect"]);

/** `pulumi stack …` whose next word is the stack that is meant. */
const naming = new Set(["init", "new", "select", "rm", "remove"]);

/** The commands that work on the selected stack. */
const onStack = new Set(["config", "state", "logs", "cancel", "stack", ...hosted]);

/** What the wrapper has to know of a command line; everything else is the CLI's business. */
export interface CommandLine {
  /** The arguments without -C/--cwd, which became `folder`. */
  args: string[];
  /** The folder given by -C or --cwd, absolute. */
  folder: string | undefined;
  /** The first word that is no flag, and the second. */
  verb: string | undefined;
  object: string | undefined;
  /** Set for commands that run the program. */
  operation: "preview" | "up" | "refresh" | "destroy" | undefined;
  /** Help is asked for, so nothing will run. */
  help: boolean;
  needsHost: boolean;
  /** The arguments that name the stack; none where the selected one is meant. */
  stack: string[];
  /** The stack that a word names: `stack init NAME`, `cancel NAME`. */
  named: string | undefined;
  /** The command works on the selected stack, which must be there. */
  needsStack: boolean;
}

/** Reads a command line of the CLI as far as the wrapper needs it. */
export function parse(argv: readonly string[], from: string = process.cwd()): CommandLine {
  const args: string[] = [];
  const words: string[] = [];
  let folder: string | undefined;
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? "";
    if (arg === "-C" || arg === "--cwd") {
      folder = argv[++i];
      continue;
    }
    if (arg.startsWith("--cwd=")) {
      folder = arg.slice("--cwd=".length);
      continue;
    }
    args.push(arg);
    if (valued.has(arg) && i + 1 < argv.length) args.push(argv[++i] ?? "");
    else if (!arg.startsWith("-")) words.push(arg);
  }
  const [verb, object] = words;
  const help = args.includes("--help") || args.includes("-h") || verb === "help";
  const operation = verb !== undefined && Object.hasOwn(running, verb) ? running[verb] : undefined;
  const stack = args.flatMap((arg, i) => {
    if (arg.startsWith("--stack=")) return [arg];
    return arg === "-s" || arg === "--stack" ? args.slice(i, i + 2) : [];
  });
  const named = verb === "cancel" ? object : verb === "stack" && naming.has(object ?? "") ? words[2] : undefined;
  return {
    args,
    folder: folder === undefined ? undefined : resolve(from, folder),
    verb,
    object,
    operation: help ? undefined : operation,
    help,
    needsHost: !help && verb !== undefined && hosted.has(verb),
    stack,
    named,
    needsStack:
      !help &&
      stack.length === 0 &&
      named === undefined &&
      verb !== undefined &&
      (operation !== undefined || onStack.has(verb)) &&
      !free(words),
  };
}

function free([verb, object]: readonly string[]): boolean {
  return verb === "stack" && object !== undefined && stackless.has(object);
}

/** The commands whose provider would be configured by the state: a database that moved since would be looked for where it was. */
const byState: readonly (string | undefined)[] = ["destroy", "refresh"];

/**
 * The arguments the CLI is started with. destroy and refresh run the program; with an address the program is asked for there.
 * @param address `127.0.0.1:PORT` of the inline server
 */
export function engineArguments(line: CommandLine, address?: string): string[] {
  const args = [...line.args];
  if (byState.includes(line.operation) && !args.some((arg) => arg.startsWith("--run-program")))
    args.push("--run-program");
  const own = args.some((arg) => arg.startsWith("--client") || arg.startsWith("--remote"));
  if (line.operation && address && !own) args.push(`--client=${address}`, "--exec-kind", "auto.inline");
  return args;
}
