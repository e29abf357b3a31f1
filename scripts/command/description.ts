/** A command of this project as data: the command line is read by it, and --help is composed from it. */
export interface Command<O extends Options = Options, W extends Options = Options, N extends string = string> {
  /** As it is typed: `npm run purge`. */
  name: string;
  /** One sentence. Texts of --help may have several lines, which are indented as they must be. */
  purpose: string;
  about?: string;
  /** The word that must come: which of several things the command does. */
  words?: Words<W, N>;
  options: O;
  /** Below the options. */
  notes?: string;
  /** What exit codes mean; 2 is wrong use without being named. */
  exits: Readonly<Record<string, string>>;
}

interface Words<W extends Options, N extends string> {
  /** What such a word is: `benchmark`. */
  noun: string;
  /** How --help writes it: `NAME`. */
  placeholder: string;
  each: Readonly<Record<N, Word<W>>>;
}

export interface Word<W extends Options = Options> {
  about: string;
  /** What must be typed after it, as --help writes it: `ID`. */
  argument?: string;
  /** Options that only this word takes, or some of the words do. */
  options?: W;
}

export type Options = Readonly<Record<string, Option>>;
export type Option = Flag | Text | Whole;

/** An option without a value. */
export interface Flag {
  about: string;
  /** One letter: `h`. */
  short?: string;
}

interface Text extends Flag {
  /** How --help writes the value: `FOLDER`. */
  value: string;
  default?: string;
  /** Ways to say the password that somebody typed into it, for the error. */
  instead?: readonly string[];
}

/** An option whose value is a whole number. */
export interface Whole extends Flag {
  least: number;
  most?: number;
  default?: number;
}

/** What the command line says: an option that was not given has its default, a flag is false. */
export type Values<O extends Options> = { [K in keyof O]: Value<O[K]> };
type Value<O> = O extends { least: number } ? Sure<O, number> : O extends { value: string } ? Sure<O, string> : boolean;
type Sure<O, T> = O extends { default: T } ? T : T | undefined;

/** `--json` of every command that has one object to say. */
export const json: Flag = {
  about:
    'the last line of standard output is one JSON object, {"error": …} of what went wrong; everything else goes to standard error',
};
