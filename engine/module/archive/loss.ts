import { escapeIdentifier } from "pg";
import { GuardianError } from "../../base/errors";
import { quoteName, rows, type Queryable } from "../../base/sql";
import type { Waiting } from "../../ledger/archived";
import { wasComputed } from "../../ledger/objects";

/**
 * What a later version of a module has no column for, or computes by itself, would go with the archived table, without a word.
 * @throws GuardianError naming the columns that hold values; nothing was moved
 */
export async function refuseLoss(db: Queryable, { original, archivedAs, applyId }: Waiting): Promise<void> {
  await db.query("SET LOCAL row_security = off");
  const [table, archived] = [quoteName(original), quoteName(archivedAs)];
  const gone = await rows<{ name: string }>(
    db,
    `SELECT a.attname AS name FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_attribute l WHERE l.attrelid = $2::regclass AND l.attname = a.attname AND l.attnum > 0
         AND NOT l.attisdropped AND (l.attgenerated = '' OR ${wasComputed("$3", "$4", "a.attname")})) ORDER BY a.attnum`,
    [archived, table, applyId, original],
  );
  const held: string[] = [];
  for (const { name } of gone) {
    const some = await rows(db, `SELECT 1 FROM ${archived} WHERE ${escapeIdentifier(name)} IS NOT NULL LIMIT 1`);
    if (some.length > 0) held.push(name);
  }
  if (held.length === 0) return;
  const drops = held.map((name) => `DROP COLUMN ${escapeIdentifier(name)}`).join(", ");
  throw new GuardianError("module-changed", {
    what: "archived rows have values in columns that this version of the module does not make, or computes; they wait in the archive",
    where: `${held.join(", ")} of ${archivedAs}, rows of ${original}`,
    todo: [
      "put the columns back into the module, then run this again",
      `where one has another name now: ALTER TABLE ${archived} RENAME COLUMN, then run this again`,
      `give these values up for good: ALTER TABLE ${archived} ${drops}, then run this again`,
    ],
  });
}
