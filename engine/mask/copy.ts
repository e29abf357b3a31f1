/** What takes a value of one column and gives what stands in its place; null is NULL. */
export type Mask = (value: string) => string | null;

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
const backslashed: Readonly<Record<string, string>> = {
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
};

/** A value as COPY's text format writes it (manual, COPY, File Formats), and back. */
export const readField = (field: string): string =>
  field.includes("\\") ? field.replace(/\\(.)/gs, (_, letter: string) => escapes[letter] ?? letter) : field;
const written = (value: string): string => value.replace(/[\b\f\n\r\t\v\\]/g, (found) => backslashed[found] ?? found);

/** NULL, as COPY's text format writes it. */
export const nothing = "\\N";

/**
 * Masks one line of COPY's text format.
 * @param masks one a column, in the order of COPY; undefined: the value stays, byte for byte
 * @returns undefined if it has another number of values
 */
export function maskLine(line: string, masks: readonly (Mask | undefined)[]): string | undefined {
  if (masks.length === 0) return line === "" ? line : undefined;
  const fields = line.split("\t");
  if (fields.length !== masks.length) return undefined;
  masks.forEach((mask, i) => {
    const field = fields[i] ?? nothing;
    if (!mask || field === nothing) return;
    const masked = mask(readField(field));
    fields[i] = masked === null ? nothing : written(masked);
  });
  return fields.join("\t");
}

/**
 * Says of each element of an array what is said of a value (manual, 8.15.6); NULLs, and how deep they stand, stay.
 * @param array as PostgreSQL writes it, which quotes whatever could be misread
 */
export function maskElements(array: string, mask: Mask): string {
  const bounds = /^\[[\d:[\]-]+\]=/.exec(array)?.[0] ?? "";
  const elements = array.slice(bounds.length).replace(/"((?:[^"\\]|\\.)*)"|[^{},"]+/gs, (found, quoted?: string) => {
    if (found === "NULL") return found;
    const masked = mask(quoted === undefined ? found : quoted.replace(/\\(.)/gs, "$1"));
    return masked === null ? "NULL" : inArray(masked);
  });
  return bounds + elements;
}

/** As PostgreSQL writes an element, so that what is dumped of the restored table is the same. */
const inArray = (element: string): string =>
  element === "" || /^null$/i.test(element) || /["\\{},\s]/.test(element)
    ? `"${element.replace(/["\\]/g, "\\$&")}"`
    : element;

/** COPY's own end of the rows, which pg_dump writes after the last one. */
const end = "\\.";

/** What a parser throws may quote the value: nothing of it is passed on. */
function attempt(line: string, masks: readonly (Mask | undefined)[]): string | undefined {
  try {
    return maskLine(line, masks);
  } catch {
    return undefined;
  }
}

/** Rows of a table on their way: what was masked is counted. */
interface Counted {
  rows: number;
}

/**
 * Masks the rows of one file of a dump as it is read. Nothing of it is kept.
 * @throws RangeError with the number of the line that is no row of it: another number of values, or one that cannot be read
 */
export async function* maskRows(
  pieces: AsyncIterable<Buffer>,
  masks: readonly (Mask | undefined)[],
  encoding: BufferEncoding,
  counted: Counted,
): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let ended = false;
  const each = (line: string): string => {
    ended ||= line === end;
    if (ended) return line;
    const masked = attempt(line, masks);
    if (masked === undefined) throw new RangeError(String(counted.rows + 1));
    counted.rows++;
    return masked;
  };
  for await (const piece of pieces) {
    const last = piece.lastIndexOf(10);
    if (last < 0) {
      rest.push(piece);
      continue;
    }
    const lines = Buffer.concat([...rest, piece.subarray(0, last)])
      .toString(encoding)
      .split("\n");
    rest = [piece.subarray(last + 1)];
    yield Buffer.from(`${lines.map(each).join("\n")}\n`, encoding);
  }
  const left = Buffer.concat(rest);
  if (left.length > 0) throw new RangeError(String(counted.rows + 1));
}
