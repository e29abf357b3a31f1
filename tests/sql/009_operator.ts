import type { Client } from "pg";
import { asRole, type V6 } from "../support/postgres";

/** What 009 needs, and itself. */
export const modules = ["000_audit_log", "001_feature_flags", "002_migration_tracking", "009_operations"];

/** Runs work as guardian_operator, in a transaction of its own. */
export async function asOperator<T>(db: V6, work: (client: Client) => Promise<T>): Promise<T> {
  const admin = await db.connect("admin");
  return asRole(admin, "guardian_operator", null, work);
}

/** Every row as the texts of its values; NULL is "". */
export async function records(client: Client, text: string, values: unknown[] = []): Promise<string[][]> {
  const { rows } = await client.query<unknown[]>({ text, values, rowMode: "array" });
  return rows.map((row) => row.map(shown));
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
