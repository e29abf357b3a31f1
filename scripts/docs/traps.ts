import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { table } from "./pages";
import { groups } from "./trap-list";

const tests = join(__dirname, "..", "..", "tests");
const id = /(?<![\w-])(?:V6|[SFCDIUK])-\d+(?![\w-])/g;

/** @returns the titles of all tests, by the path of their file below tests/ */
export function titlesByFile(folder = tests): Map<string, string[]> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".test.ts"));
  const titlesOf = (file: string): string[] =>
    [
      ...readFileSync(join(folder, file), "utf8").matchAll(
        /(?<![.\w])(?:it|long|test\w*)\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g,
      ),
    ].map(([, , title = ""]) => plain(title));
  return new Map(files.sort().map((file) => [file.replaceAll("\\", "/"), titlesOf(file)]));
}

/** @returns the titles of tests by the ids of traps in them: `path: title` */
export function titles(folder = tests): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [file, all] of titlesByFile(folder)) {
    for (const title of all) {
      for (const one of new Set(title.match(id) ?? []))
        found.set(one, [...(found.get(one) ?? []), `${file}: ${title}`]);
    }
  }
  return found;
}

const plain = (title: string): string => title.replaceAll(/\\(.)/g, "$1");

/** @returns the ids that have neither a test nor a reason */
export function unanswered(found = titles()): string[] {
  const all = Object.values(groups).flatMap((traps) => Object.entries(traps));
  return all.filter(([one, told]) => !found.has(one) && typeof told === "string").map(([one]) => one);
}

/** docs/traps.md. A test wins over a reason; a trap with neither is said to be open. */
export function trapsPage(found = titles()): string {
  return [
    "<!-- Made by `npm run docs` from scripts/docs/trap-list.ts and the titles of the tests. -->",
    "# Traps",
    "What is wrong in the migration guide and in the design papers of v7, and in v6 itself, and where the answer is held: a test with " +
      "the id in its title, or the reason why it does not concern what is built here.",
    ...Object.entries(groups).flatMap(([title, traps]) => [
      `## ${title}`,
      table(
        ["Id", "What was wrong", "Answer"],
        Object.entries(traps).map(([one, told]) => {
          const [about, reason] = typeof told === "string" ? [told] : told;
          const otherwise = reason === undefined ? "OPEN: neither test nor reason" : `Does not apply: ${reason}`;
          return [one, about, (found.get(one) ?? [otherwise]).join("; ")];
        }),
      ),
    ]),
  ].join("\n\n");
}
