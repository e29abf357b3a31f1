import type { Surroundings } from "../manifest";
import type { Unproven } from "../prove/types";
import type { Left } from "./types";

/** What fills a materialized view whose query could reach another server. @param table "materialized view" and its name */
export const toFill = ({ table }: Pick<Unproven, "table">): Left => ({
  what: table,
  why: `it is empty, since its query could reach another server. To fill it: REFRESH ${table.replace(/^materialized view/, "MATERIALIZED VIEW")}`,
});

/** Of a backup of format 1. */
export const notKept: Left = {
  what: "roles and settings",
  why: "the backup is of an older release, which kept none; only the number of rows was compared",
};

/** Where all of it belongs to who restores. */
export const notOwned = (user: string): Left[] => [
  { what: "owners", why: `all of it belongs to ${user} (--no-owner)` },
  { what: "rights", why: `they are given by ${user}, and were not compared (--no-owner)` },
];

/** Tablespaces are not made: their folders are of another machine. */
export const tablespaces = (around: Surroundings | undefined): Left[] =>
  Object.keys(around?.tablespaces ?? {}).map((name) => ({
    what: `tablespace ${name}`,
    why: "everything is in the default one",
  }));

/** What is said of a thing first is why it is so. */
export const unique = (left: readonly Left[]): Left[] =>
  [...new Map([...left].reverse().map((one) => [one.what, one])).values()].reverse();
