import { sqlstateOf } from "../../base/errors";
import type { Queryable } from "../../base/sql";

/**
 * How a value is read as another type: by the cast that there is, else by its text (integer as jsonb).
 * @param value SQL
 * @param from and `to`: types, named as SQL names them
 * @returns SQL
 */
export async function readAs(db: Queryable, value: string, from: string, to: string): Promise<string> {
  await db.query("SAVEPOINT cast_probe");
  try {
    await db.query(`SELECT NULL::${from}::${to}`);
    return `${value}::${to}`;
  } catch (err) {
    if (sqlstateOf(err) !== "42846") throw err; // cannot_coerce
    return `${value}::text::${to}`;
  } finally {
    await db.query("ROLLBACK TO SAVEPOINT cast_probe");
  }
}
