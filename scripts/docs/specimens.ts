import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { quoteName } from "../../engine/base/sql";

/** A column as a specimen needs it. */
export interface Column {
  name: string;
  /** As format_type gives it. */
  type: string;
  /** Must be given: NOT NULL without a default. */
  needed: boolean;
  /** GENERATED ALWAYS AS (…): cannot be given. */
  generated: boolean;
}

/** The people of the permission matrix; none of them is in the generated v6. */
export const people = {
  owner: "a0000000-0000-4000-8000-00000000000a",
  other: "b0000000-0000-4000-8000-00000000000b",
  provider: "c0000000-0000-4000-8000-00000000000c",
} as const;

/**
 * Adds the people's accounts.
 * @param withRows who gets a row in every v6 table too, with the account's own key, so that every key among rows is met
 */
export async function addPeople(admin: Client, withRows: readonly string[]): Promise<void> {
  for (const id of Object.values(people)) {
    await admin.query("INSERT INTO auth.users (id, created_at) VALUES ($1, now())", [id]);
    const rows = [
      "documents (id, user_id, s3_key, original_name) VALUES ($1, $1, 'x', 'x')",
      "patient_medications (id, user_id, medication_name, source_document_ids) VALUES ($1, $1, 'x', ARRAY[$1::uuid])",
      "patient_allergies (id, user_id, allergen, source_document_ids) VALUES ($1, $1, 'x', ARRAY[$1::uuid])",
      "patient_conditions (id, user_id, condition_name, source_document_ids) VALUES ($1, $1, 'x', ARRAY[$1::uuid])",
      "patient_lab_results (id, user_id, test_name, result_value, test_date, source_document_id) VALUES ($1, $1, 'x', '1', now(), $1)",
      "patient_vitals (id, user_id, measurement_date, source_document_id, heart_rate) VALUES ($1, $1, now(), $1, 60)",
      "patient_providers (id, user_id, provider_name, source_document_ids) VALUES ($1, $1, 'x', ARRAY[$1::uuid])",
    ];
    for (const row of withRows.includes(id) ? rows : []) await admin.query(`INSERT INTO public.${row}`, [id]);
  }
}

/** @returns the columns of a table or view, in order */
export async function columnsOf(client: Client, table: string): Promise<Column[]> {
  const { rows } = await client.query<Column>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AND NOT atthasdef AND attidentity = '' AS needed,
            attgenerated <> '' AS generated
     FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [quoteName(table)],
  );
  return rows;
}

/**
 * A value of a type, as an SQL expression; uuids are the person's.
 * @param nth 1 for the first row of a table; further rows have other texts and numbers
 */
export function specimen(type: string, person: string, nth = 1): string {
  const uuid = `${escapeLiteral(person)}::uuid`;
  if (type === "uuid") return uuid;
  if (type === "uuid[]") return `ARRAY[${uuid}]`;
  if (type.endsWith("[]")) return `'{}'::${type}`;
  if (/^(text|character)/.test(type)) return `'${"x".repeat(nth)}'::${type}`;
  if (/^(smallint|integer|bigint|numeric|real|double)/.test(type)) return `${nth}::${type}`;
  const fixed: Record<string, string> = {
    boolean: "true",
    jsonb: "'{}'::jsonb",
    json: "'{}'::json",
    date: "current_date",
    interval: "interval '1 day'",
    inet: "inet '127.0.0.1'",
    regclass: "'public.documents'::regclass",
    "timestamp with time zone": "now()",
    "time without time zone": "time '12:00'",
  };
  return fixed[type] ?? `NULL::${type}`;
}

/**
 * Puts one row into each table, whatever its rules: checks, and NOT NULL of generated columns, are dropped; triggers and keys
 * do not fire. For a database that
 * is thrown away. Defaults hold, but every uuid, the key included, is what `uuidOf` says, so that rows belong together.
 *
 * @param admin a superuser
 * @param uuidOf the person for a column
 * @param nth as in specimen
 */
export async function seed(
  admin: Client,
  tables: readonly string[],
  uuidOf: (table: string, column: string) => string,
  nth = 1,
): Promise<void> {
  await admin.query("BEGIN; SET LOCAL session_replication_role = replica");
  for (const table of tables) {
    const { rows: checks } = await admin.query<{ name: string }>(
      "SELECT conname AS name FROM pg_constraint WHERE contype = 'c' AND conrelid = $1::regclass",
      [quoteName(table)],
    );
    for (const { name } of checks) {
      await admin.query(`ALTER TABLE ${quoteName(table)} DROP CONSTRAINT ${escapeIdentifier(name)}`);
    }
    const all = await columnsOf(admin, table);
    for (const { name } of all.filter((column) => column.generated)) {
      await admin.query(`ALTER TABLE ${quoteName(table)} ALTER COLUMN ${escapeIdentifier(name)} DROP NOT NULL`);
    }
    const columns = all.filter(
      (column) => !column.generated && (column.needed || column.type.startsWith("uuid") || column.name === "granted"),
    );
    const names = columns.map((column) => escapeIdentifier(column.name)).join(", ");
    const values = columns.map((column) => specimen(column.type, uuidOf(table, column.name), nth)).join(", ");
    await admin.query(`INSERT INTO ${quoteName(table)} (${names}) OVERRIDING SYSTEM VALUE VALUES (${values})`);
  }
  await admin.query("COMMIT");
}
