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

/** Somebody's id in an allow-list. */
export const user = "11111111-2222-4333-8444-55555555555a";

/** A key of age that backups can be encrypted for. */
export const age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
