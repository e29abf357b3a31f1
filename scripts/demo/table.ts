/** A number as people read it: 12,345. */
export function figure(value: number | bigint): string {
  return value.toLocaleString("en-US");
}

/**
 * Lines of a small table: a heading from the rows' keys, numbers to the right. No rows: one line that says so.
 *
 * @param rows all with the same keys; null is shown as a dash.
 */
export function table(rows: readonly object[]): string[] {
  const keys = Object.keys(rows[0] ?? {});
  if (keys.length === 0) return ["  (no rows)"];
  const cells = rows.map((row) => keys.map((key) => (row as Record<string, unknown>)[key]));
  const texts = [keys, ...cells.map((row) => row.map(shown))];
  const widths = keys.map((_, i) => Math.max(...texts.map((row) => row[i]?.length ?? 0)));
  const right = keys.map((_, i) => cells.every((row) => typeof row[i] === "number" || row[i] === null));
  const lines = texts.map((row) =>
    row.map((text, i) => (right[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0))).join("  "),
  );
  lines.splice(1, 0, widths.map((width) => "─".repeat(width)).join("  "));
  return lines.map((line) => `  ${line}`.trimEnd());
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return figure(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value instanceof Date) return value.toISOString().replace("T", " ").slice(0, 19);
  return typeof value === "string" ? value : JSON.stringify(value);
}
