import type { ConnectionSettings } from ".";
import { passwordKey } from "./input";
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

/** What names a part of it: a key of the stack's configuration, or what was said of this connection alone. */
export function keyOf({ given }: ConnectionSettings, part: Part | "sslmode"): string {
  if (part === "password") return given?.passwordFrom ?? passwordKey;
  return given ? `the ${part} in ${given.origin}` : `guardian:database.${part}`;
}

/**
 * Where to correct one part of the connection: the place that its value came from, since a variable that a configured
 * key overrides may be set for ever without effect.
 */
export function mend(settings: ConnectionSettings, part: Part): string {
  const origin = settings.origins.get(part);
  const [key, variable] = [keyOf(settings, part), parts[part]];
  const place = settings.given ? "" : " in the stack's config";
  if (part === "password") return passwordPlace(origin, key, variable);
  if (origin === configOrigin) {
    return `correct ${key} in the stack's config: ${pulumiCommand(`config set --path ${key} ${part.toUpperCase()}`)}`;
  }
  if (settings.given && origin === settings.given.origin) return `correct ${key}`;
  if (origin === variable) return `correct ${variable}, or set ${key}${place}, which wins over it`;
  const theirs = origin && origin !== "libpq's default" ? ` (it is from ${origin})` : " (nothing names it yet)";
  return `set ${key}${place}, or ${variable}${theirs}`;
}

function passwordPlace(origin: string | undefined, key: string, variable: string): string {
  if (origin === undefined) return `set ${key} to env:NAME or file:PATH, or set ${variable}`;
  return `correct the password (it came from ${origin}); ${key} (env:NAME or file:PATH) or ${variable} names another`;
}
