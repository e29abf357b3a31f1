import { escapeIdentifier } from "pg";
import { under } from "../../engine/migrate/range";
import { matches, sourceIn, type Mapped } from "../../engine/migrate/source";
import { quoteName } from "../../engine/sql";

/**
 * The same rows by one statement over every key, with the same rule for rows that are there already; `$1` is the source's
 * parameters.
 */
export function rawStatement(it: Mapped): string {
  const target = quoteName(it.target);
  return `INSERT INTO ${target} (${it.columns.map((column) => escapeIdentifier(column)).join(", ")})
    SELECT ${under("s", it.columns).join(", ")} FROM ${sourceIn(it, { kind: "all" })} s
    WHERE NOT EXISTS (SELECT FROM ${target} p WHERE ${matches(it, "p")})`;
}
