import { quoteName, rows, type Queryable } from "../base/sql";

/** @returns those of the relations, as `schema.name`, that are in the database */
export async function present(db: Queryable, names: readonly string[]): Promise<string[]> {
  const there = await rows<{ name: string }>(
    db,
    "SELECT t.name FROM unnest($1::text[], $2::text[]) t(name, quoted) WHERE pg_catalog.to_regclass(t.quoted) IS NOT NULL",
    [names, names.map(quoteName)],
  );
  return there.map((row) => row.name);
}
