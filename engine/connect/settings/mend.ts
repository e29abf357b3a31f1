import type { ConnectionSettings } from ".";
import { configOrigin } from "./sources";
import { pulumiCommand } from "../../../spec";

/** The parts of a connection that users get wrong: key of guardian:database, and libpq's variable for it. */
const parts = {
  host: "PGHOST",
  port: "PGPORT",
  database: "PGDATABASE",
  user: "PGUSER",
  password: "PGPASSWORD",
} as const;

export type Part = keyof typeof parts;

/**
 * Where to correct one part of the connection: the place that its value came from, since a variable that a configured
 * key overrides may be set for ever without effect.
 */
export function mend(settings: ConnectionSettings, part: Part): string {
  const origin = settings.origins.get(part);
  const key = part === "password" ? "guardian:database.passwordFrom" : `guardian:database.${part}`;
  const variable = parts[part];
  if (part === "password") return passwordPlace(origin, key, variable);
  if (origin === configOrigin) {
    return `correct ${key} in the stack's config: ${pulumiCommand(`config set --path ${key} ${part.toUpperCase()}`)}`;
  }
  if (origin === variable) return `correct ${variable}, or set ${key} in the stack's config, which wins over it`;
  const theirs = origin && origin !== "libpq's default" ? ` (it is from ${origin})` : " (nothing names it yet)";
  return `set ${key} in the stack's config, or ${variable}${theirs}`;
}

function passwordPlace(origin: string | undefined, key: string, variable: string): string {
  if (origin === undefined) return `set ${key} to env:NAME or file:PATH, or set ${variable}`;
  return `correct the password (it came from ${origin}); ${key} (env:NAME or file:PATH) or ${variable} names another`;
}
