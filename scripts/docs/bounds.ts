import type { Client } from "pg";
import { writtenByUsers, type Written } from "./writes";

/** How much a column takes, as its checks and its table's triggers say. */
export interface Bound {
  /** Of the value as text (octet_length). */
  bytes?: number;
  characters?: number;
  /** Of an array. */
  entries?: number;
  /** One of so many words. */
  words?: number;
  /** A regular expression. */
  pattern?: string;
  /** What else looks at it: the function that a trigger calls. */
  checkedBy?: string;
}

interface Bounded extends Bound {
  table: string;
  column: string;
  /** As format_type gives it. */
  type: string;
}

/** What the catalogue says of what users, and the server side, can write. */
export interface Bounds {
  users: (Written & Bounded)[];
  /** Columns with a bound in bytes, characters or entries that only the server side writes. */
  server: Bounded[];
}

/** @param tables of the modules, with their schema */
export async function readBounds(client: Client, tables: readonly string[]): Promise<Bounds> {
  const written = await writtenByUsers(client, tables);
  const { rows } = await client.query<
    Pick<Bounded, "table" | "column" | "type"> & { checks: string[]; triggers: string[][] }
  >(
    `SELECT n.nspname || '.' || c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type, ARRAY(
         SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attnum = ANY (k.conkey) ORDER BY k.conname
       ) AS checks, ARRAY(
         SELECT DISTINCT ARRAY[p.proname || '()', p.prosrc] FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 2 = 2
       ) AS triggers
     FROM unnest($1::regclass[]) WITH ORDINALITY t(oid, place) JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY t.place, a.attnum`,
    [tables],
  );
  const bounds = rows.map(({ table, column, type, checks, triggers }): Bounded => {
    const bound = checks.reduce<Bound>((found, check) => ({ ...found, ...boundIn(check, column) }), {});
    const source = triggers.find(
      ([, text]) => (text ?? "").includes(`'${column}'`) && (text ?? "").includes(`NEW.${column}`),
    );
    const [name, text] = source ?? [];
    const told = text === undefined ? {} : boundIn(text, `NEW.${column}`);
    return { table, column, type, ...bound, ...told, ...(name === undefined ? {} : { checkedBy: name }) };
  });
  const users = written.flatMap((one) => {
    const bound = bounds.find((b) => b.table === one.table && b.column === one.column);
    return bound ? [{ ...bound, ...one }] : [];
  });
  const server = bounds.filter(
    (b) =>
      (b.bytes ?? b.characters ?? b.entries) !== undefined &&
      !written.some((one) => one.table === b.table && one.column === b.column),
  );
  return { users, server };
}

/** What one expression, a CHECK's or a trigger's, says of a column. */
function boundIn(text: string, column: string): Bound {
  const of = `\\(*${column.replace(".", "\\.")}\\)*(?:::text)?\\)*`;
  const most = (call: string): number | undefined => {
    const found = [...text.matchAll(new RegExp(`(?<![a-z_])${call}\\(${of} (?:<=|>) (\\d+)`, "g"))];
    return found.length > 0 ? Math.min(...found.map((match) => Number(match[1]))) : undefined;
  };
  const lists = new RegExp(`${of} (?:= ANY \\(+|NOT IN \\(|<@ )(ARRAY\\[|'\\{)?([^\\])}]*)`).exec(text)?.[2];
  const pattern = new RegExp(`${of} ~ '((?:[^']|'')*)'`).exec(text)?.[1];
  const found: Bound = {};
  const [bytes, characters] = [most("octet_length"), most("length")];
  const entries = most("cardinality") ?? most("jsonb_array_length");
  if (bytes !== undefined) found.bytes = bytes;
  if (characters !== undefined) found.characters = characters;
  if (entries !== undefined) found.entries = entries;
  if (lists !== undefined) found.words = lists.split(",").length;
  if (pattern !== undefined) found.pattern = pattern;
  return found;
}

/** For people: "at most 65,536 bytes". Empty where nothing bounds it. */
export function boundText({ bytes, characters, entries, words, pattern, checkedBy }: Bound): string {
  const count = (n: number): string => n.toLocaleString("en");
  return [
    bytes !== undefined && `${count(bytes)} bytes`,
    characters !== undefined && `${count(characters)} characters`,
    entries !== undefined && `${count(entries)} entries`,
    words !== undefined && `of ${words} words`,
    pattern !== undefined && `\`${pattern}\``,
    bytes === undefined &&
      characters === undefined &&
      words === undefined &&
      checkedBy !== undefined &&
      `what \`${checkedBy}\` takes`,
  ]
    .filter(Boolean)
    .join(", ");
}
