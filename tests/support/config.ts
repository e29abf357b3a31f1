/** An operator's decision, which no stack has by default. */
export const consent = { mode: "assumed", legalBasis: "consent", statement: "they were told" };

/** As Pulumi hands configuration over: texts, objects as JSON. */
export function raw(values: Record<string, unknown>): Record<string, string> {
  const texts = Object.entries(values).map(([key, value]) => [
    `guardian:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return Object.fromEntries(texts) as Record<string, string>;
}
