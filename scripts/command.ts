import { GuardianError } from "../engine/base/errors";
import type { Command, Options } from "./command/description";
import { help } from "./command/help";
import { parse, UsageError, type Parsed } from "./command/parse";
import { called } from "../spec/command";

/** Where a command speaks; tests have their own. */
export interface Surroundings {
  /** Takes a line for programs, or --help. */
  print: (line: string) => void;
  /** Takes a line for people. */
  say: (line: string) => void;
  /** Fires at ^C: what was started is to be stopped. Absent: ^C ends the process at once. */
  signal?: AbortSignal;
}

export const terminal: Surroundings = {
  print: (line) => void process.stdout.write(`${line}\n`),
  say: (line) => void process.stderr.write(`${line}\n`),
};

/** A signal stopped the command, which has left nothing behind. */
export class Stopped extends Error {
  constructor(
    message: string,
    readonly exitCode: number,
  ) {
    super(message);
  }
}

/** What a command has to do: without --help the word is there, if the command has words. */
export type Given<O extends Options, W extends Options, N extends string> = Parsed<O, W, N> &
  Required<Pick<Parsed<O, W, N>, "word" | "own">>;

/**
 * Runs a command: reads the command line, answers --help, and says what went wrong.
 * @param work returns the exit code; what it throws is 1, or 2 where it is a UsageError
 * @returns the exit code; 130 where the signal had fired
 */
export async function run<O extends Options, W extends Options, N extends string>(
  command: Command<O, W, N>,
  args: readonly string[],
  { print, say, signal }: Surroundings,
  work: (given: Given<O, W, N>) => Promise<number>,
): Promise<number> {
  try {
    const given = parse(command, args);
    const { cwd, stack } = given as { cwd?: string; stack?: string };
    if (!given.help) return await called(cwd, stack, () => work(given as Given<O, W, N>));
    print(help(command, given.word));
    return 0;
  } catch (thrown) {
    const err = signal?.aborted ? new Stopped("stopped; nothing of it is left", 130) : thrown;
    const plain = err instanceof GuardianError || err instanceof Stopped;
    say(err instanceof Error ? (plain ? err.message : (err.stack ?? err.message)) : String(err));
    if (args.includes("--json")) print(JSON.stringify({ error: told(err) }));
    return err instanceof Stopped ? err.exitCode : err instanceof UsageError ? 2 : 1;
  }
}

/** An error for programs: what stands in its message, by its parts. */
function told(err: unknown): object {
  if (!(err instanceof GuardianError)) return { what: err instanceof Error ? err.message : String(err) };
  const { code, what, where, todo, sqlstate } = err;
  return { code, what, where, todo, sqlstate };
}

/** A signal that fires when the process is to stop: ^C, or it is ended, or its terminal was closed. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(name, () => stop.abort(new Error(`stopped (${name})`)));
  return stop.signal;
}

/** Ends this process. Not process.exitCode: a program that was served inline may have left timers and channels behind. */
export function endWith(code: Promise<number>): void {
  void code.then((done) => process.exit(done));
}
