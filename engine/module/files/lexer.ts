/** A token of SQL or PL/pgSQL, which have the same lexer (PostgreSQL manual, 4.1). */
export interface Token {
  kind: "blank" | "comment" | "quoted" | "word" | "symbol";
  text: string;
  /** UTF-16 units from the start. */
  start: number;
}

/**
 * Splits text into tokens; together they are the text. Made here because libpg_query's scanner cuts tokens of more than a
 * thousand bytes. Operators are runs of their characters, which no comment's beginning is part of (manual, 4.1.3).
 */
export function* lex(text: string): Generator<Token> {
  for (let at = 0; at < text.length;) {
    const [kind, length] = next(text, at);
    yield { kind, text: text.slice(at, at + length), start: at };
    at += length;
  }
}

const blank = /\s+/y;
const lineComment = /--[^\n\r]*/y;
/** A string with its E, B, X, N or U& in front; '' is part of it, and after E a backslash takes the next character along. */
const escapedString = /e'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)/iy;
const plainString = /(?:[bxn]|u&)?'(?:[^']|'')*(?:'|$)/iy;
const quotedName = /(?:u&)?"(?:[^"]|"")*(?:"|$)/iy;
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const word = /[\w\u0080-\uffff][\w$\u0080-\uffff]*/y;
const operator = /(?:(?!--|\/\*)[-+*/<>=~!@#%^&|`?:.])+/y;

function next(text: string, at: number): [Token["kind"], number] {
  const size = (pattern: RegExp): number => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0].length ?? 0;
  };
  const tries: [Token["kind"], () => number][] = [
    ["blank", () => size(blank)],
    ["comment", () => size(lineComment) || blockComment(text, at)],
    [
      "quoted",
      () => size(escapedString) || size(plainString) || size(quotedName) || dollarQuoted(text, at, size(dollarTag)),
    ],
    ["word", () => size(word)],
    ["symbol", () => size(operator) || 1],
  ];
  for (const [kind, measure] of tries) {
    const length = measure();
    if (length > 0) return [kind, length];
  }
  return ["symbol", 1];
}

/** Block comments may be nested (manual, 4.1.5). */
function blockComment(text: string, at: number): number {
  if (!text.startsWith("/*", at)) return 0;
  let depth = 0;
  for (let i = at; i < text.length;) {
    const pair = text.slice(i, i + 2);
    if (pair === "/*") depth += 1;
    if (pair === "*/") depth -= 1;
    i += pair === "/*" || pair === "*/" ? 2 : 1;
    if (depth === 0) return i - at;
  }
  return text.length - at;
}

function dollarQuoted(text: string, at: number, tagLength: number): number {
  if (tagLength === 0) return 0;
  const tag = text.slice(at, at + tagLength);
  const end = text.indexOf(tag, at + tagLength);
  return end < 0 ? text.length - at : end + tagLength - at;
}
