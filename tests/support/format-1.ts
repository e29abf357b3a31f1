import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { ledgerTableNames } from "../../engine/ledger/schema";
import { readInventory } from "../../engine/module/inventory";

const ddl = readFileSync(join(__dirname, "..", "engine", "ledger", "format-1.sql"), "utf8");

/** Makes of a ledger what one would have made that knew the first version of the inventory only. */
export async function toFacts1(client: Client): Promise<void> {
  await client.query("BEGIN; SET LOCAL search_path = ''");
  const { rows } = await client.query<{ object: string }>("SELECT object FROM guardian_migration.object");
  const told = await readInventory(client, ["public"], 1);
  for (const { object } of rows)
    await client.query(
      "UPDATE guardian_migration.object SET definition = coalesce($2, definition), facts = 1 WHERE object = $1",
      [object, told.get(object)],
    );
  await client.query("COMMIT");
}

/**
 * Makes of a ledger what release 0.1 would have made of the same work: its own tables, and the rows in the columns that
 * it knew.
 * @param client of the ledger's owner
 */
export async function toFormat1(client: Client): Promise<void> {
  await toFacts1(client);
  await client.query(`BEGIN; ALTER SCHEMA guardian_migration RENAME TO newer; ${ddl}`);
  for (const name of [...ledgerTableNames].reverse()) {
    const { rows } = await client.query<{ columns: string; identity: string | null }>(
      `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns,
              max(attname) FILTER (WHERE attidentity <> '') AS identity
       FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0`,
      [`guardian_migration.${name}`],
    );
    const { columns = "", identity } = rows[0] ?? {};
    await client.query(
      `INSERT INTO guardian_migration.${name} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM newer.${name}`,
    );
    if (identity)
      await client.query(
        `SELECT setval(pg_get_serial_sequence('guardian_migration.${name}', '${identity}'), last_value, is_called)
         FROM newer.${name}_${identity}_seq`,
      );
  }
  await client.query("UPDATE guardian_migration.ledger SET format = 1; DROP SCHEMA newer CASCADE; COMMIT");
}

/** Makes of a ledger what one of format 2 was: without what the step to 3 brings. */
export async function toFormat2(client: Client): Promise<void> {
  await client.query(
    `ALTER TABLE guardian_migration.ledger DROP COLUMN database_oid, DROP COLUMN former_names;
     UPDATE guardian_migration.ledger SET format = 2`,
  );
}

/** The format that the ledger has. */
export async function formatOf(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ format: number }>("SELECT format FROM guardian_migration.ledger");
  return rows[0]?.format;
}
