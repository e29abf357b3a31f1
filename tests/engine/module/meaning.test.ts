import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { lex } from "../../../engine/module/files/lexer";
import { meaningOf } from "../../../engine/module/files/meaning";
import { moduleNames, sqlFolder } from "../../../engine/module/files/manifest";
import { parseFile } from "../../../engine/module/files/statements";
import { long } from "../../support/long";
import { upOf } from "../../support/modules";
import { refusalOf } from "./harness";

const meaning = (sql: string): Promise<string> => meaningOf("sql/x/up.sql", sql);

const body = (language: string, text: string, options = ""): string =>
  `CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE ${language} ${options} AS $$${text}$$`;

/** Puts a comment and a line break between any two tokens, inside PL/pgSQL and SQL bodies too. */
function rewritten(sql: string, inBody = false): string {
  const pieces = [...lex(sql)].filter(({ kind }) => kind !== "comment" && kind !== "blank");
  return pieces
    .map(({ text }, i) => {
      const inside = inBody ? null : /^(\$\w*\$)([\s\S]*)\1$/.exec(text);
      const piece = inside ? `${inside[1]!}${rewritten(inside[2]!, true)}${inside[1]!}` : text;
      // PL/pgSQL's names of several parts, and 1..3, are read as one by libpg_query.
      const sticks = text === "." || pieces[i + 1]?.text === "." || text === "%" || pieces[i + 1]?.text === "%";
      // 'a' and 'b' on two lines are one string, and no comment may stand between them (PostgreSQL manual, 4.1.2.1).
      if (text.endsWith("'") && pieces[i + 1]?.text.startsWith("'")) return `${piece}\n`;
      return `${piece}${sticks ? "" : i % 3 === 0 ? " /* a /* nested */ note */ " : "\n  -- 'a note'\n"}`;
    })
    .join("");
}

/** Pairs that mean the same. */
const same: Record<string, [string, string]> = {
  "layout and comments": ["SELECT 1, 'a'; SELECT 2", "-- one\nSELECT\n  1, /* x */ 'a'\n;\n\nSELECT 2 ;"],
  "the case of keywords and names": ["select A from public.T", "SELECT a FROM Public.t"],
  "the order of a function's options": [
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql STABLE SET search_path = '' AS 'SELECT 1'",
    "CREATE FUNCTION public.f() RETURNS int SET search_path = '' STABLE AS 'SELECT 1' LANGUAGE sql",
  ],
  "the order of a view's options": [
    "CREATE VIEW public.v WITH (security_invoker = true, security_barrier = true) AS SELECT 1",
    "CREATE VIEW public.v WITH (security_barrier = true, security_invoker = true) AS SELECT 1",
  ],
  "a comment in a PL/pgSQL body": [
    body("plpgsql", " BEGIN RETURN a + 1; END "),
    body("plpgsql", "\n-- why\nBEGIN\n  return /* the */ a + 1; -- next\nEND\n"),
  ],
  "a comment in a SQL body": [body("sql", "SELECT a"), body("sql", "\n  -- why\n  select a\n")],
  "a comment in a DO block": ["DO $$ BEGIN NULL; END $$", "DO $$\nBEGIN\n  NULL; -- nothing\nEND\n$$"],
  "the tag of the quotes": [body("sql", "SELECT a"), body("sql", "SELECT a").replaceAll("$$", "$body$")],
};

/** Pairs that do not. */
const different: Record<string, [string, string]> = {
  "a literal": ["SELECT 'a'", "SELECT 'b'"],
  "a literal in a PL/pgSQL body": [
    body("plpgsql", "BEGIN RETURN a + 1; END"),
    body("plpgsql", "BEGIN RETURN a + 2; END"),
  ],
  "a literal in a SQL body": [body("sql", "SELECT a + 1"), body("sql", "SELECT a + 2")],
  "a literal in a body of the standard's form": [
    "CREATE FUNCTION public.f() RETURNS int BEGIN ATOMIC SELECT 1; END",
    "CREATE FUNCTION public.f() RETURNS int BEGIN ATOMIC SELECT 2; END",
  ],
  "an assignment": [body("plpgsql", "BEGIN a := 1; RETURN a; END"), body("plpgsql", "BEGIN a := 2; RETURN a; END")],
  "an assignment's target": [
    body("plpgsql", "DECLARE b int; BEGIN a := 1; RETURN a; END"),
    body("plpgsql", "DECLARE b int; BEGIN b := 1; RETURN a; END"),
  ],
  "a variable's default": [
    body("plpgsql", "DECLARE b int := 1; BEGIN RETURN b; END"),
    body("plpgsql", "DECLARE b int := 2; BEGIN RETURN b; END"),
  ],
  "a variable's collation": [
    body("plpgsql", 'DECLARE b text COLLATE "C"; BEGIN RETURN 1; END'),
    body("plpgsql", 'DECLARE b text COLLATE "POSIX"; BEGIN RETURN 1; END'),
  ],
  "an option of the body": [
    body("plpgsql", "BEGIN RETURN 1; END"),
    body("plpgsql", "#variable_conflict use_column\nBEGIN RETURN 1; END"),
  ],
  "a message": ["DO $$ BEGIN RAISE NOTICE 'a'; END $$", "DO $$ BEGIN RAISE NOTICE 'b'; END $$"],
  "an error code": [
    "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'GM001'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'GM002'; END $$",
  ],
  "SQL that is put together": ["DO $$ BEGIN EXECUTE 'SELECT 1'; END $$", "DO $$ BEGIN EXECUTE 'SELECT 2'; END $$"],
  "what looks like a comment in a literal": ["SELECT '-- a'", "SELECT '-- b'"],
  "the case of a quoted name": ['SELECT "A"', 'SELECT "a"'],
  "the case of a literal in a body": [body("plpgsql", "BEGIN RAISE 'A'; END"), body("plpgsql", "BEGIN RAISE 'a'; END")],
  "a function's option": [body("sql", "SELECT a", "STABLE"), body("sql", "SELECT a", "IMMUTABLE")],
  "a function's language": [body("plpython3u", "return 1"), body("plperl", "return 1")],
  "a body in a language we cannot read": [body("plpython3u", "return 1"), body("plpython3u", "return 2")],
  "the order of columns": ["SELECT 1, 2", "SELECT 2, 1"],
  "one statement more": ["SELECT 1", "SELECT 1; SELECT 1"],
};

describe("the meaning of a module", () => {
  for (const [what, [a, b]] of Object.entries(same)) {
    it(`is not changed by ${what}`, async () => {
      expect(await meaning(a)).to.equal(await meaning(b));
    });
  }
  for (const [what, [a, b]] of Object.entries(different)) {
    it(`is changed by ${what}`, async () => {
      expect(await meaning(a)).not.to.equal(await meaning(b));
    });
  }

  long("of every file in sql/ outlives a comment and a line break between any two tokens", async () => {
    for (const name of moduleNames()) {
      const texts = ["down.sql", "verify.sql"].map((file) => readFileSync(join(sqlFolder, name, file), "utf8"));
      for (const [file, sql] of [upOf(name), ...texts].entries()) {
        expect(await meaning(rewritten(sql)), `${name}/${file}`).to.equal(await meaning(sql));
      }
    }
  });

  long("of every file in sql/ changes with any one literal or number in it", async () => {
    for (const name of moduleNames()) {
      const sql = upOf(name);
      const before = await meaning(sql);
      const literals = [...sql.matchAll(/'([a-z][a-z_ ]+)'/g)];
      const step = Math.max(1, Math.floor(literals.length / 12));
      for (let i = 0; i < literals.length; i += step) {
        const { index, 1: text } = literals[i]!;
        const changed = `${sql.slice(0, index)}'${text!}x'${sql.slice(index + text!.length + 2)}`;
        if (/--[^\n]*$/.test(sql.slice(0, index))) continue; // in a comment
        expect(await meaning(changed), `${name}: '${text!}'`).not.to.equal(before);
      }
    }
  });

  it("of nothing at all is a meaning too", async () => {
    expect(await meaning("")).to.equal(await meaning("-- only a comment\n/* and /* another */ one */"));
  });
});

describe("a syntax error", () => {
  const places: Record<string, [string, string]> = {
    "in a file, after characters of two and four bytes": [
      "-- é 😀\nSELECT 1;\n  SELEC 2;\n",
      'the file is not valid SQL: syntax error at or near "SELEC" [sql-invalid]\n' +
        "  where: sql/x/up.sql:3:3\n    2 | SELECT 1;\n    3 |   SELEC 2;\n          ^\n" +
        "  to do: mend the file; nothing was changed in the database",
    ],
    "in a SQL body": [
      "SELECT 1;\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n  -- é 😀\n  SELECT 1 +\n$$",
      "the file is not valid SQL: syntax error at end of input [sql-invalid]\n" +
        "  where: sql/x/up.sql:5:1\n    4 |   SELECT 1 +\n    5 | $$\n        ^\n" +
        "  to do: mend the file; nothing was changed in the database",
    ],
    "in a PL/pgSQL body": [
      "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRUN 1;\nEND\n$$",
      'the file is not valid SQL: syntax error at or near "RETRUN" [sql-invalid]\n' +
        "  where: sql/x/up.sql:3:3\n    2 | BEGIN\n    3 |   RETRUN 1;\n          ^\n" +
        "  to do: mend the file; nothing was changed in the database",
    ],
  };
  for (const [what, [sql, message]] of Object.entries(places)) {
    it(`${what} shows file, line, column and a caret`, async () => {
      expect((await refusalOf(meaning(sql))).message).to.equal(message);
    });
  }
});

describe("splitting a file", () => {
  it("gives each statement without the comments around it, and its place", async () => {
    const sql = "/* a /* b */\n*/ SELECT 1; -- é\n\n-- 😀 c\nSELECT 'é;',\n  2 ;SELECT 3";
    const found = await parseFile("f", sql);
    expect(found.map(({ text, line }) => ({ text, line }))).to.deep.equal([
      { text: "SELECT 1", line: 2 },
      { text: "SELECT 'é;',\n  2", line: 5 },
      { text: "SELECT 3", line: 6 },
    ]);
    for (const { text, offset } of found) expect(sql.slice(offset, offset + text.length)).to.equal(text);
  });
});
