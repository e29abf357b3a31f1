import type { Client } from "pg";
import { isPostgres } from "../../engine/base/errors";

/** yes: done, or stopped by something else than a right. part: only what row security shows. */
export type Outcome = "yes" | "part" | "no";

/** Something to try; {} stands for what it is tried on, quoted. */
export interface Act {
  name: string;
  sql: string;
}

/** Past the right a key, a rule, a value or a trigger of the table itself may stop it, which is as good as done. */
const past = /^(23|22|0A|2B|428|55|P0001|GM|2F|40001)/;

/** Tries a statement and takes it back. @throws Error with the statement where neither a right nor the table stopped it */
export async function attempt(client: Client, sql: string): Promise<boolean> {
  await client.query("BEGIN; SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '5s'");
  try {
    await client.query(sql);
    return true;
  } catch (err) {
    if (!isPostgres(err)) throw err;
    const code = err.code ?? "";
    if (code === "42501") return false;
    if (past.test(code)) return true;
    throw new Error(`${sql}: ${code} ${err.message}`, { cause: err });
  } finally {
    await client.query("ROLLBACK");
  }
}

/** Reads all rows, or what row security shows. */
export async function reading(client: Client, relation: string): Promise<Outcome> {
  const select = `SELECT count(*) FROM ${relation}`;
  if (await attempt(client, `SET LOCAL row_security = off; ${select}`)) return "yes";
  return (await attempt(client, select)) ? "part" : "no";
}

/** What changes a table, its rows or what belongs to it. @param column one of its own, quoted */
export const changes = (table: string, column: string): Act[] => [
  { name: "insert", sql: `INSERT INTO ${table} DEFAULT VALUES` },
  { name: "update", sql: `UPDATE ${table} SET ${column} = DEFAULT WHERE false` },
  { name: "delete", sql: `DELETE FROM ${table} WHERE false` },
  { name: "truncate", sql: `TRUNCATE ${table}` },
  { name: "alter", sql: `ALTER TABLE ${table} ADD COLUMN tried_by_roles int` },
  { name: "drop", sql: `DROP TABLE ${table}` },
];

/** What the migration does to v6's tables, which changes no row of theirs. */
export const attachments = (table: string): Act[] => [
  { name: "lock", sql: `LOCK TABLE ONLY ${table} IN SHARE ROW EXCLUSIVE MODE` },
  { name: "refer", sql: `CREATE TABLE public.tried_by_roles (id uuid REFERENCES ${table})` },
  {
    name: "trigger",
    sql: `CREATE TRIGGER tried_by_roles BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
  },
];
