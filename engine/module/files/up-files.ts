import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { GuardianError } from "../../base/errors";
import { lex } from "./lexer";

/** A file of SQL as it stands on disk. */
export interface SqlFile {
  /** How errors name it: `sql/003_fhir_integration/up/01_tables.sql`. */
  file: string;
  text: string;
}

const form = "files named 01_name.sql, 02_name.sql and so on: small letters, digits and _, numbered without a gap";

/**
 * Reads what a module does: its up.sql or, where that would be too long to read, the files of its folder up/ in the order
 * of their names. Each file holds whole statements, so that an error's place is in the file that a person will open.
 * @param at the module's folder
 * @param shown how errors name a file of that folder
 * @throws GuardianError if there are both or neither, or if something in up/ is not a part of it
 */
export function readUp(at: string, shown: (file: string) => string): SqlFile[] {
  const [single, folder] = [existsSync(join(at, "up.sql")), existsSync(join(at, "up"))];
  if (single === folder) {
    throw new GuardianError("file-invalid", {
      what: `a module has either up.sql or a folder up/; this one has ${single ? "both" : "neither"}`,
      where: shown("."),
      todo: single ? "take away the one that is out of date" : "put it back",
    });
  }
  const names = single ? ["up.sql"] : partNames(join(at, "up"), shown).map((name) => join("up", name));
  return names.map((name) => ({ file: shown(name), text: readFileSync(join(at, name), "utf8") }));
}

/** The names in up/ in order. A number that is missing may be a part that was lost, and two alike leave the order open. */
function partNames(folder: string, shown: (file: string) => string): string[] {
  const bad = (what: string, where: string): GuardianError =>
    new GuardianError("file-invalid", {
      what,
      where,
      todo: `up/ holds ${form}; rename what is there, or take it away`,
    });
  const entries = readdirSync(folder, { withFileTypes: true });
  const stray = entries.filter((entry) => !entry.isFile() || !/^\d\d_[a-z0-9_]+\.sql$/.test(entry.name));
  if (stray.length > 0) {
    const places = stray.map((entry) => shown(join(basename(folder), entry.name))).sort();
    throw bad("a folder up/ holds what is no part of its module", places.join(", "));
  }
  const names = entries.map((entry) => entry.name).sort();
  if (names.length === 0) throw bad("a folder up/ is empty", shown("up"));
  const number = (i: number): string => String(i + 1).padStart(2, "0");
  const wrong = names.find((name, i) => !name.startsWith(number(i)));
  if (wrong === undefined) return names;
  throw bad(
    `the parts in up/ are not numbered 01, 02, 03 …: ${number(names.indexOf(wrong))} should come here`,
    shown(`up/${wrong}`),
  );
}

/** The files as one script of the same statements: a last statement without its semicolon gets one. */
export function joined(files: readonly SqlFile[]): string {
  const [first, ...more] = files;
  if (first && more.length === 0) return first.text;
  return files.map(({ text }) => `${text}${text.endsWith("\n") ? "" : "\n"}${isEnded(text) ? "" : ";\n"}`).join("");
}

function isEnded(text: string): boolean {
  const last = [...lex(text)].findLast(({ kind }) => kind !== "blank" && kind !== "comment");
  return last === undefined || last.text === ";";
}
