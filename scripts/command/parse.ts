import { parseArgs } from "node:util";
import { nearest } from "../../spec";
import { GuardianError } from "../../engine/base/errors";
import { holdsPassword } from "../../engine/connect/settings/conninfo";
import type { Command, Option, Options, Values } from "./description";

/** Wrong use of a command: exit code 2. */
export class UsageError extends GuardianError {}

/** @param hint goes before the pointer to --help */
export function usage(command: Pick<Command, "name">, what: string, ...hint: string[]): UsageError {
  const todo = [...hint, `\`${command.name} -- --help\` lists what there is`];
  return new UsageError("usage", { what, where: command.name, todo });
}

/** What was typed. */
export type Parsed<O extends Options, W extends Options, N extends string> = Values<O> & {
  help: boolean;
  /** The word; it is missing where the command has none, or --help is asked for. */
  word?: N;
  /** The options of that word. */
  own?: Partial<Values<W>>;
  /** What was typed after a word that wants something. */
  argument?: string;
};

type Typed = string | boolean | undefined;

interface Read {
  values: Record<string, Typed>;
  positionals: string[];
}

/**
 * Reads the command line.
 * @throws UsageError naming what is wrong with it, and what is near; what was typed is not quoted, as it may be a password
 */
export function parse<O extends Options, W extends Options, N extends string>(
  command: Command<O, W, N>,
  args: readonly string[],
): Parsed<O, W, N> {
  const { values: given, positionals } = read(command, args);
  const help = given["help"] === true;
  const { word, argument } = wordOf(command, positionals, help);
  const own: Options = (word && command.words?.each[word].options) ?? {};
  const stranger = Object.keys(given).find((name) => name !== "help" && !(name in own || name in command.options));
  if (stranger !== undefined && !help) throw usage(command, `${word ?? ""} takes no --${stranger}`);
  const typed = (name: string): Typed => (help ? undefined : given[name]);
  const values = (options: Options): object =>
    Object.fromEntries(
      Object.entries(options).map(([name, option]) => [name, value(command, name, option, typed(name))]),
    );
  return { ...values(command.options), help, ...(word && { word, own: values(own), ...argument }) } as Parsed<O, W, N>;
}

function read(command: Command, args: readonly string[]): Read {
  const every: Options = { ...everyOption(command), help: { about: "", short: "h" } };
  const options = Object.entries(every).map(([name, option]) => {
    const type = "value" in option || "least" in option ? "string" : "boolean";
    return [name, { type, ...(option.short !== undefined && { short: option.short }) }] as const;
  });
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: Object.fromEntries(options) });
  } catch (err) {
    const said = (err as Error).message.split(". ")[0] ?? "wrong option";
    const what = said.replace(/^(Unknown option) (?!'-{1,2}[A-Za-z-]{1,30}')[^]*$/, "$1");
    const unknown = /^Unknown option '--(.+)'/.exec(what)?.[1];
    if (unknown === undefined) throw usage(command, what);
    throw usage(command, what, `the nearest option is --${nearest(unknown, Object.keys(every))}`);
  }
}

function everyOption({ options, words }: Command): Options {
  return Object.assign({}, ...Object.values(words?.each ?? {}).map((word) => word.options), options) as Options;
}

function wordOf<N extends string>(
  command: Command<Options, Options, N>,
  typed: string[],
  help: boolean,
): { word?: N; argument?: { argument: string } } {
  const { words } = command;
  const [word, ...rest] = words ? typed : [undefined, ...typed];
  const known = word !== undefined && words && Object.hasOwn(words.each, word) ? (word as N) : undefined;
  if (words && word !== undefined && known === undefined) {
    const names = Object.keys(words.each);
    const near = `the nearest is ${nearest(word, names)}`;
    throw usage(command, `There is no such ${words.noun}; there are: ${names.join(", ")}`, near);
  }
  const wants = known && words?.each[known].argument;
  const [argument, ...more] = wants === undefined ? [undefined, ...rest] : rest;
  if (more.length > 0) throw usage(command, tooMany(more.length));
  if (!words || (word === undefined && help)) return {};
  if (known === undefined) throw usage(command, `Name a ${words.noun}: ${Object.keys(words.each).join(", ")}`);
  if (wants !== undefined && argument === undefined && !help) throw usage(command, `Say which: ${known} ${wants}`);
  return { word: known, ...(argument === undefined ? {} : { argument: { argument } }) };
}

const tooMany = (count: number): string =>
  count === 1 ? "An argument is too many" : `${count} arguments are too many`;

function value(command: Command, name: string, option: Option, text: Typed): unknown {
  if (!("value" in option || "least" in option)) return text === true;
  if (typeof text !== "string") return option.default;
  if ("value" in option) {
    if (!holdsPassword(text)) return text;
    throw usage(
      command,
      `--${name} holds a password, which every list of processes shows; nothing was done`,
      ...(option.instead ?? ["leave it out, and change that password: it is in the shell's history"]),
    );
  }
  const { least, most = Number.MAX_SAFE_INTEGER } = option;
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  const upTo = option.most === undefined ? "" : ` to ${most}`;
  throw usage(command, `--${name} must be a whole number from ${least}${upTo}`);
}
