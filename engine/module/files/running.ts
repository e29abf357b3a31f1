import { lex, type Token } from "./lexer";
import type { Statement } from "./statements";

/** A word, symbol or literal of SQL that runs where it stands. */
export type Running = Pick<Token, "kind" | "text">;

/** Words after which a text runs as SQL. */
const runsText = /^(execute|query_to_xml\w*|dblink\w*)$/i;

/**
 * @returns what runs of a statement, without blanks and comments: of a DO block its body, and of a literal in it the text too
 *   where the block runs texts (EXECUTE); never of a RAISE, which only says it
 */
export function runningOf({ tree, text }: Pick<Statement, "tree" | "text">): Running[] {
  const found = bare(text);
  return "DoStmt" in tree ? found.flatMap((token) => (isText(token) ? within(textOf(token.text)) : [token])) : found;
}

/** The same of a function's body, or of any text that runs. */
export function within(body: string): Running[] {
  const found = bare(body);
  const runs = found.some(({ kind, text }) => kind === "word" && runsText.test(text));
  let raising = false;
  return found.flatMap((token) => {
    if (token.kind === "word" && /^raise$/i.test(token.text)) raising = true;
    if (token.text === ";") raising = false;
    return runs && !raising && isText(token) ? [token, ...within(textOf(token.text))] : [token];
  });
}

const bare = (text: string): Running[] =>
  [...lex(text)].flatMap(({ kind, text: said }) =>
    kind === "blank" || kind === "comment" ? [] : [{ kind, text: said }],
  );

/** Whether a token is a literal, and no quoted name. */
export const isText = ({ kind, text }: Running): boolean => kind === "quoted" && !/^(u&)?"/i.test(text);

/** @returns what stands in a literal. @param literal in dollars, or in quotes with a letter in front or none */
export function textOf(literal: string): string {
  const tag = /^\$[^$]*\$/.exec(literal)?.[0];
  if (tag !== undefined) return literal.slice(tag.length, -tag.length);
  return literal.slice(literal.indexOf("'") + 1, -1).replaceAll("''", "'");
}

/** @returns the words and symbols in a row, a literal as '' */
export const wordsOf = (tokens: readonly Running[]): string =>
  tokens.map((token) => (isText(token) ? "''" : token.text)).join(" ");
