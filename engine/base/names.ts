import { escapeIdentifier, escapeLiteral } from "pg";

/**
 * What breaks a line, moves a terminal's cursor, turns the direction of writing or is not seen: control characters (C0,
 * C1), separators and marks of direction (Unicode 15, 23.2 and 23.3).
 */
const unspeakable = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

const code = (character: string): string => (character.codePointAt(0) ?? 0).toString(16).padStart(4, "0");

/** @param text with names that anybody may have chosen @returns it as one line that can be shown: `a\u000ab` */
export const shown = (text: string): string => text.replace(unspeakable, (found) => `\\u${code(found)}`);

/** Escapes of PostgreSQL (manual, 4.1.2.4), by which a statement can be shown and copied whatever a name holds. */
function unicode(text: string, quote: (text: string) => string): string {
  if (text.search(unspeakable) < 0) return quote(text);
  const escaped = text.replaceAll("\\", "\\\\").replace(unspeakable, (found) => `\\${code(found)}`);
  const mark = quote("").slice(0, 1);
  return `U&${mark}${escaped.replaceAll(mark, mark + mark)}${mark}`;
}

/** @returns a name for a statement that is shown, quoted only where it must be */
export const sqlName = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : unicode(name, escapeIdentifier);

/** @returns a text for a statement that is shown */
export const sqlText = (text: string): string => unicode(text, escapeLiteral);

const plain = ["uuid", "smallint", "integer", "bigint"];

/** Types whose values say nothing of a person, as regtype[]: a row may be named by a key of these, and of no others. */
export const plainTypes = `'{${plain.join(",")}}'::regtype[]`;

/** @param types as format_type writes them @returns whether a key of these types may be told */
export const arePlain = (types: readonly string[]): boolean => types.every((type) => plain.includes(type));
