import { type CustomTypesConfig, types } from "pg";

/** date, timestamp, timestamptz, interval and their arrays (pg_type.oid), left as the server's text. */
const timeTypes = new Set([1082, 1114, 1184, 1186, 1182, 1115, 1185, 1187]);

/** pg's own parsers, by an honest type: text in, anything out. */
const usual = types.getTypeParser as (oid: number, format?: string) => (text: string) => unknown;

/**
 * How columns become JavaScript values. Times stay text: a Date has milliseconds only, and a row would no longer equal
 * its recorded transaction time. int8 and numeric stay text too, as pg has it; `count` turns a count into a number.
 */
export const valueTypes = {
  getTypeParser: (oid: number, format?: string) => (timeTypes.has(oid) ? (text: string) => text : usual(oid, format)),
} as CustomTypesConfig;

/**
 * A bigint column, as text or number, as a number.
 *
 * @throws RangeError if it is no whole number that a JavaScript number holds exactly.
 */
export function count(value: unknown): number {
  const number = typeof value === "string" || typeof value === "number" ? Number(value) : Number.NaN;
  if (value === "" || !Number.isSafeInteger(number)) throw new RangeError("not a count that a number holds exactly");
  return number;
}
