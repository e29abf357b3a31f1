import { createHash } from "node:crypto";
import { readDumped } from "../../../backup/compression";
import { nothing, readField } from "../../../mask/copy";

/** A row of a backup: its key, and what its values come to. */
export interface Line {
  /** Which of the file's rows it is, from 1. */
  readonly nth: number;
  /** Of the key's columns. */
  readonly key: readonly string[];
  /** SHA-256 of the row as the server writes an array of its values' texts. */
  readonly digest: Buffer;
  /** As COPY wrote it, a byte a character. */
  readonly text: string;
}

/** So many rows, or bytes of them, are looked up at once at most. */
export interface Size {
  rows: number;
  readonly bytes: number;
}

/** COPY's own end of the rows. */
const end = "\\.";

/**
 * An element as array_out writes it (manual, 8.15.6): quoted where it is empty, is the word NULL or holds what could be
 * misread. White space is ASCII's alone there, whatever the locale; in a row's own text (record_out) it is the locale's.
 */
const element = (value: string): string =>
  value === "" || /^null$/i.test(value) || /["\\{},\t\n\v\f\r ]/.test(value)
    ? `"${value.replace(/["\\]/g, "\\$&")}"`
    : value;

/** @returns the values of a line of COPY's text format (manual, COPY, File Formats); null is NULL */
export const valuesOf = (text: string): (string | null)[] =>
  text.split("\t").map((field) => (field === nothing ? null : readField(field)));

/** @param values a byte a character: server encodings let no byte of a longer character look like one of ASCII */
const digestOf = (values: readonly (string | null)[]): Buffer =>
  createHash("sha256")
    .update(`{${values.map((value) => (value === null ? "NULL" : element(value))).join(",")}}`, "latin1")
    .digest();

/**
 * Reads the rows of one file of a dump, some at a time; no more than these are ever in memory.
 * @param columns places of the columns that are compared, and of those that are the key
 * @param take is waited for before more is read
 * @returns how many rows there were
 * @throws RangeError with the number of the line that is no row of it; what zlib throws
 */
export async function eachLines(
  path: string,
  { columns, key }: { columns: readonly number[]; key: readonly number[] },
  size: Size,
  take: (lines: readonly Line[]) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  let [rows, bytes, rest, over] = [0, 0, "", false];
  let lines: Line[] = [];
  const line = (text: string): void => {
    over ||= text === end;
    if (over) return;
    rows++;
    const values = valuesOf(text);
    const keys = key.map((place) => values[place]);
    if (!keys.every((value) => typeof value === "string")) throw new RangeError(`line ${rows}`);
    const digest = digestOf(columns.map((place) => values[place] ?? null));
    lines.push({ nth: rows, key: keys, digest, text });
    bytes += text.length;
  };
  const hand = async (): Promise<void> => {
    const full = lines;
    [lines, bytes] = [[], 0];
    if (full.length > 0) await take(full);
  };
  const each = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) {
      const found = (rest + piece.toString("latin1")).split("\n");
      rest = found.pop() ?? "";
      for (const text of found) {
        line(text);
        if (lines.length >= size.rows || bytes >= size.bytes) await hand();
      }
    }
    await hand();
  };
  await readDumped(path, each, signal);
  return rows;
}
