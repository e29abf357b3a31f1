import { escapeIdentifier, type Client, type QueryResult, type QueryResultRow } from "pg";

/** What reading code takes: a read transaction and a Writer both have it. */
export interface Queryable {
  /**
   * One statement with its parameters, by the extended protocol: a second statement in the text is a syntax error.
   * Errors of the server come as pg's DatabaseError: pass them through fromPostgres() before anyone sees them.
   *
   * @throws ConnectionLostError
   */
  query<R extends QueryResultRow = QueryResultRow>(text: string, values?: readonly unknown[]): Promise<QueryResult<R>>;
  /** Several statements of a file at once, without parameters; results are dropped. */
  script(text: string): Promise<void>;
}

/** What SQL can be asked of: a session of ours, or a client of pg. */
export type Askable = Pick<Queryable, "query">;

/** A client of pg as reading code takes it. */
export const asQueryable = (client: Client): Queryable => ({
  query: (text, values) => client.query(text, values && [...values]),
  script: async (text) => {
    await client.query(text);
  },
});

/** @returns all rows */
export async function rows<R extends QueryResultRow>(db: Askable, text: string, values?: unknown[]): Promise<R[]> {
  return (await db.query<R>(text, values)).rows;
}

/** @returns the first row, if there is one */
export async function first<R extends QueryResultRow>(
  db: Askable,
  text: string,
  values?: unknown[],
): Promise<R | undefined> {
  return (await db.query<R>(text, values)).rows[0];
}

/** Splits `schema.name` as module.yaml and the ledger write it; without a schema it is public's. */
export function splitName(name: string): { schema: string; name: string } {
  const [schema, rest] = name.includes(".")
    ? [name.slice(0, name.indexOf(".")), name.slice(name.indexOf(".") + 1)]
    : ["public", name];
  return { schema, name: rest };
}

/** `schema.name` quoted for SQL. */
export function quoteName(name: string): string {
  const split = splitName(name);
  return `${escapeIdentifier(split.schema)}.${escapeIdentifier(split.name)}`;
}

/** @returns whether a relation, or with its argument types a function, is there */
export async function exists(db: Askable, quoted: string): Promise<boolean> {
  const look = quoted.endsWith(")") ? "to_regprocedure" : "to_regclass";
  return (
    (await first<{ there: boolean }>(db, `SELECT pg_catalog.${look}($1) IS NOT NULL AS there`, [quoted]))?.there ??
    false
  );
}
