/** What a rule takes, as the types of a database's columns are told apart. */
export type Kind = "text" | "uuid" | "json" | "time" | "bytes" | "bigint" | "other";

interface RuleWords {
  /** What becomes of a value, for docs/masking.md. */
  about: string;
  /** Kinds of columns, and arrays of them, that it can be said of; absent: all. */
  kinds?: readonly Kind[];
}

/** Every rule that sql/masking.yaml may give a column; docs/masking.md lists them. */
export const rules = {
  keep: { about: "stays as it is" },
  clear: { about: "NULL; the column must allow it" },
  id: {
    about:
      "another id, the same one wherever the same id stands, in words, JSON and FHIR references too; what is no uuid becomes a code of 16 letters and figures",
    kinds: ["uuid", "text", "bigint"],
  },
  name: { about: "made-up words, as many as there were", kinds: ["text"] },
  email: { about: "an address below `masked.invalid`, which no mail reaches", kinds: ["text"] },
  phone: { about: "a number with the country code 999, which nobody has", kinds: ["text"] },
  contact: { about: "an address, a number or a code, as it was one", kinds: ["text"] },
  url: { about: "a host below `masked.invalid`, without a path", kinds: ["text"] },
  text: {
    about: "every letter is another letter, every digit another digit; length, case, blanks and punctuation stay",
    kinds: ["text"],
  },
  figure: {
    about: "stays where it is a figure of up to four digits (`5.4`, `<5`, `120/80`); else as text",
    kinds: ["text"],
  },
  word: { about: "stays where it is one of the words that are listed; else a code", kinds: ["text"] },
  language: { about: "stays where it is the tag of a language (`en-AU`); else as text", kinds: ["text"] },
  timezone: { about: "stays where it is the name of a time zone; else as text", kinds: ["text"] },
  json: {
    about:
      "every text in it by what it looks like: a date as year, an id as id, an address as email, a link as url, else as text; a number of five digits or more is another; keys stay that a programmer could have written",
    kinds: ["json"],
  },
  coded: {
    about: "as json, and words of a code stay under the keys that are listed; for what no person writes",
    kinds: ["json"],
  },
  sealed: {
    about:
      "as json, but a key stays only where it is listed, and else becomes a code; words of the list, times of day and the zone under `timezone` stay; for what a person may write any key in",
    kinds: ["json"],
  },
  year: {
    about: "the first of January of its year, and no year in which somebody of more than 89 was born",
    kinds: ["time"],
  },
  bytes: { about: "as many other bytes", kinds: ["bytes"] },
  token: { about: "a code of 16 letters and figures", kinds: ["text"] },
} as const satisfies Record<string, RuleWords>;

export type Rule = keyof typeof rules;
export const ruleNames = Object.keys(rules) as Rule[];

/** @returns whether the rule can be said of such a column */
export function fits(rule: Rule, kind: Kind): boolean {
  const { kinds }: RuleWords = rules[rule];
  return kinds === undefined || kinds.includes(kind);
}

/** The rule that masks a column of this kind whatever is in it; of figures and the like a person must say. */
export const nearestRule: Readonly<Record<Kind, Rule>> = {
  text: "text",
  uuid: "id",
  json: "json",
  time: "year",
  bytes: "bytes",
  bigint: "keep",
  other: "keep",
};
