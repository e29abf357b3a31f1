import { createRequire } from "node:module";

const load = createRequire(__filename);

/* The parsers, loaded at first use: an `up` that finds nothing changed parses nothing (engine/lazy.ts). */

/** PostgreSQL's own parser (libpg_query). */
export const sqlParser = (): typeof import("@libpg-query/parser") =>
  load("@libpg-query/parser") as typeof import("@libpg-query/parser");

/** The YAML parser. */
export const yamlParser = (): typeof import("yaml") => load("yaml") as typeof import("yaml");
