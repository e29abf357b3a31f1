import { escapeIdentifier } from "pg";
import { under } from "../../engine/migrate/definition/range";
import { matches, sourceIn, type Mapped } from "../../engine/migrate/definition/source";
import { quoteName } from "../../engine/base/sql";

/** How the single statement leaves rows alone that are there already. */
export type RawRule =
  /** As the guide writes it (3.2 step 3), where an index keeps a second row out. */
  | "on conflict"
  /** By looking before; where no index does, there is no other way. */
  | "not exists";

/** The same rows by one statement over every key; `$1` is the source's parameters. */
export function rawStatement(it: Mapped, rule: RawRule): string {
  const target = quoteName(it.target);
  const rest =
    rule === "on conflict"
      ? `ON CONFLICT (${it.match.map((column) => escapeIdentifier(column)).join(", ")}) DO NOTHING`
      : `WHERE NOT EXISTS (SELECT FROM ${target} p WHERE ${matches(it, "p")})`;
  return `INSERT INTO ${target} (${it.columns.map((column) => escapeIdentifier(column)).join(", ")})
    SELECT ${under("s", it.columns).join(", ")} FROM ${sourceIn(it, { kind: "all" })} s
    ${rest}`;
}
