import { gateChecks } from "./gates";
import { nearest } from "./nearest";

/*
 * What `guardian:accept` may name: checks of gates by their name, and what a proof may leave open of a backup, by its form.
 * Which of the latter there are only a proof knows.
 */

/** Where a name of guardian:accept stands in the configuration, as `pulumi config` takes it. */
export const keyOf = (name: string): string => `guardian:accept["${name}"]`;

/** Names of all checks. */
const checks = new Set<string>(Object.values(gateChecks).flat());

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

/** @returns the check that a wrong key of `guardian:accept` comes nearest to; none where it speaks of a backup */
export const nearestCheck = (key: string): string | undefined =>
  key.startsWith("backup") ? undefined : nearest(key, checks);

/** Whether a key of `guardian:accept` is a check's name, or has the form of what a proof may leave open: `backup/view public.v`. */
export function isAcceptable(key: string): boolean {
  if (checks.has(key)) return true;
  const [, name] = /^backup\/(.*)$/s.exec(key) ?? [];
  return name !== undefined && (tableForm.test(name) || others.test(name));
}
