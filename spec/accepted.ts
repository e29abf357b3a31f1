/* What `guardian:accept` may name of a backup, by its form. Which of them there are only a proof knows. */

/** A name as PostgreSQL itself writes it (quote_ident). */
const part = String.raw`(?:[a-z_][a-z0-9_]*|"(?:[^"]|"")+")`;

const kinds = [
  ...["extension", "subscription", "setting", "server", "sequence", "index", "type", "operator", "cast"],
  ...["view", "materialized view", "foreign table", "function", "procedure", "aggregate"],
  ...["trigger", "policy", "table constraint"],
];

/** What is left aside as a whole. */
const words = ["owners", "rights", "roles", "settings", "policies", "user mappings", "locale"];

/** A table, as `schema.table`. */
export const tableForm = new RegExp(`^${part}\\.${part}$`);

const others = new RegExp(`^(${words.join("|")}|(${kinds.join("|")}) \\S.*)$`, "s");

/** Whether a key of `guardian:accept` has the form of what a proof may leave open: `backup/public.t`, `backup/view public.v`. */
export function isAcceptable(key: string): boolean {
  const [, name] = /^backup\/(.*)$/s.exec(key) ?? [];
  return name !== undefined && (tableForm.test(name) || others.test(name));
}
