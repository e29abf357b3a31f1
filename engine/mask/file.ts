import { readFileSync } from "node:fs";
import { join } from "node:path";
import { each, like, list, map, nearest, otherwise, record, ruled, text, type Complaint } from "../../spec";
import { GuardianError } from "../base/errors";
import { readYaml } from "../base/yaml";
import { ruleNames, type Rule } from "./rule";

/** The rules of v6 and v7, which every masking begins with. */
const rulesFile = join(__dirname, "..", "..", "sql", "masking.yaml");

/** What is done to each column, and what else a masking must know. */
export interface Rules {
  /** By table with its schema and column. */
  readonly columns: ReadonlyMap<string, ReadonlyMap<string, Rule>>;
  /** Tables that come without their rows, with their schema; `schema.*` is every table of it. */
  readonly empty: ReadonlySet<string>;
  /** Words that the rules `word`, `coded` and `sealed` keep. */
  readonly words: ReadonlySet<string>;
  /** Keys of JSON under which the rule `coded` keeps words of a code. */
  readonly codes: ReadonlySet<string>;
  /** Keys of JSON that the rule `sealed` keeps. */
  readonly keys: ReadonlySet<string>;
}

const column = like(/\S/, "a column", "A column.");
const named = /^[^.]+\.[^.]+$/;

/** A column has one rule, and a table either rules or no rows. */
function oneRuleEach(found: {
  tables?: Record<string, Partial<Record<Rule, string[]>> | undefined>;
  empty?: string[];
}): Complaint[] {
  const { tables = {}, empty = [] } = found;
  return Object.entries(tables).flatMap(([table, byRule]) => {
    const complaints: Complaint[] = [];
    if (!named.test(table)) complaints.push({ path: ["tables", table], text: "is no table with its schema" });
    if (empty.includes(table)) complaints.push({ path: ["tables", table], text: "is among those that come empty too" });
    const seen = new Map<string, string>();
    for (const rule of ruleNames) {
      (byRule?.[rule] ?? []).forEach((name, i) => {
        const before = seen.get(name);
        const text = `is ${name}, which ${rule === before ? "stands there already" : `has the rule ${before ?? ""} too`}`;
        if (before !== undefined) complaints.push({ path: ["tables", table, rule, i], text });
        seen.set(name, rule);
      });
    }
    return complaints;
  });
}

/** What sql/masking.yaml must be, and a file of a user's own. */
const shape = ruled(
  record(
    {
      words: otherwise(
        [],
        list(text("A word."), "Words that the rules word, coded and sealed keep.", "a list of words"),
      ),
      codes: otherwise(
        [],
        list(text("A key."), "Keys of JSON under which the rule coded keeps words of a code.", "a list of keys"),
      ),
      keys: otherwise([], list(text("A key."), "Keys of JSON that the rule sealed keeps.", "a list of keys")),
      tables: otherwise(
        {},
        map(
          each(ruleNames, list(column, "Columns.", "a list of columns"), "The columns of each rule."),
          "Rules by table.",
        ),
      ),
      empty: otherwise(
        [],
        list(like(named, "a table with its schema", "A table."), "Tables that come without rows.", "a list of tables"),
      ),
    },
    "Rules for masking.",
  ),
  oneRuleEach,
);

/**
 * Reads rules, sql/masking.yaml first and then files of a user's own, which add to it.
 * @throws GuardianError file-invalid with every error of a file; for a column that an earlier file rules already
 */
export function readRules(own: readonly string[] = [], first = rulesFile): Rules {
  const columns = new Map<string, Map<string, Rule>>();
  const [empty, words, codes, keys] = [new Set<string>(), new Set<string>(), new Set<string>(), new Set<string>()];
  const all = { columns, empty, words, codes, keys };
  for (const file of [first, ...own]) {
    const shown = file === rulesFile ? "sql/masking.yaml" : file;
    const found = readYaml(shown, read(file, shown), shape);
    const twice: string[] = [];
    for (const [table, byRule] of Object.entries(found.tables)) {
      const known = all.columns.get(table) ?? new Map<string, Rule>();
      if (all.empty.has(table)) twice.push(table);
      for (const rule of ruleNames) {
        for (const name of byRule[rule] ?? []) {
          if (known.has(name)) twice.push(`${table}.${name}`);
          known.set(name, rule);
        }
      }
      all.columns.set(table, known);
    }
    for (const table of found.empty) {
      if (all.columns.has(table)) twice.push(table);
      all.empty.add(table);
    }
    found.words.forEach((word) => all.words.add(word));
    found.codes.forEach((key) => all.codes.add(key));
    found.keys.forEach((key) => all.keys.add(key));
    if (twice.length > 0) throw alreadyRuled(twice, shown);
  }
  return all;
}

function read(file: string, shown: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (err) {
    const code = err instanceof Error && "code" in err ? String(err.code) : "unreadable";
    throw new GuardianError("file-invalid", {
      what: `the file of rules cannot be read (${code})`,
      where: shown,
      todo: "name one that is there",
    });
  }
}

function alreadyRuled(names: readonly string[], file: string): GuardianError {
  return new GuardianError("file-invalid", {
    what: `the file rules what is ruled before it: ${names.join(", ")}`,
    where: file,
    todo: "take them out of it; what is said of v6 and v7 is changed in sql/masking.yaml, where a test looks at it",
  });
}

/** @returns whether the rows of a table are left out */
export const comesEmpty = ({ empty }: Rules, schema: string, table: string): boolean =>
  empty.has(`${schema}.${table}`) || empty.has(`${schema}.*`);

/** @returns a column that the rules name and the table lacks, if its name is so near that it is meant */
export function misspelt(name: string, ruled: Iterable<string>, there: ReadonlySet<string>): string | undefined {
  const near = nearest(
    name,
    [...ruled].filter((one) => !there.has(one)),
  );
  const common = Array.from(near).filter((letter) => name.includes(letter)).length;
  return near !== "" && common >= Math.max(near.length, name.length) - 2 ? near : undefined;
}
