import { escapeIdentifier } from "pg";

/** How the keys of a statement are bound, and what its parameters after `$1` are. */
export type Range =
  /** Every key; no parameter. */
  | { kind: "all" }
  /** Between two keys, both included: one parameter for each column of each. */
  | { kind: "between"; types: readonly string[] }
  /** Above the first key, which may be left out, and up to the second, which may be left out too. */
  | { kind: "after"; types: readonly string[]; from: boolean; to: boolean }
  /** One of a list: one array for each column. */
  | { kind: "list"; types: readonly string[] };

const placeholder = /\bin_range\s*\(([^()]*)\)/g;

/** @returns how many columns each `in_range(…)` of a source binds */
export function placeholders(sql: string): number[] {
  return [...sql.matchAll(placeholder)].map((match) => (match[1] ?? "").split(",").length);
}

/** Puts the condition where `in_range(…)` stands. */
export function bind(sql: string, range: Range): string {
  return sql.replace(placeholder, (_all, columns: string) =>
    condition(
      columns.split(",").map((c) => c.trim()),
      range,
    ),
  );
}

/**
 * The condition that columns are in a range. A row comparison can walk an index of several columns (PostgreSQL manual,
 * 9.25.5); of a single column it is written plainly.
 * @param first the number of the range's first parameter
 */
export function condition(columns: readonly string[], range: Range, first = 2): string {
  if (range.kind === "all") return "true";
  const [row, { types }] = [tuple(columns), range];
  const bound = (at: number): string => tuple(types.map((type, i) => `$${at + i}::${type}`));
  if (range.kind === "between") {
    return `(${row} >= ${bound(first)} AND ${row} <= ${bound(first + types.length)})`;
  }
  if (range.kind === "list") {
    if (types.length === 1) return `(${row} = ANY ($${first}::${types[0]}[]))`;
    const lists = types.map((type, i) => `pg_catalog.unnest($${first + i}::${type}[])`);
    return `(${row} IN (SELECT * FROM ROWS FROM (${lists.join(", ")})))`;
  }
  const ends: string[] = [];
  if (range.from) ends.push(`${row} > ${bound(first)}`);
  if (range.to) ends.push(`${row} <= ${bound(first + (range.from ? types.length : 0))}`);
  return ends.length > 0 ? `(${ends.join(" AND ")})` : "true";
}

/** Columns of a table under an alias, quoted. */
export function under(alias: string, columns: readonly string[]): string[] {
  return columns.map((column) => `${alias}.${escapeIdentifier(column)}`);
}

/**
 * A stretch of the plan, each end of which may be open.
 * @param after its keys are above this one
 * @param upTo and up to this one
 * @returns the range, and its parameters in their order
 */
export function stretch(
  types: readonly string[],
  after: readonly string[] | undefined,
  upTo: readonly string[] | undefined,
): { range: Range; bounds: string[] } {
  const range: Range = { kind: "after", types, from: after !== undefined, to: upTo !== undefined };
  return { range, bounds: [...(after ?? []), ...(upTo ?? [])] };
}

/** Columns or values as one: a row, or of a single one itself. */
export function tuple(parts: readonly string[]): string {
  return parts.length === 1 ? (parts[0] ?? "") : `(${parts.join(", ")})`;
}

/**
 * Turns keys into the arrays of a list, one for each column. A NULL, which an older run may have noted, stays NULL: it is
 * in no range, so that the key settles as one that has no row, and its note and reject go.
 */
export function columnsOf(keys: readonly (readonly string[])[], width: number): string[][] {
  return Array.from({ length: width }, (_none, i) => keys.map((key) => key[i] as string));
}
