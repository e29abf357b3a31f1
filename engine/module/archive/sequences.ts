import { quoteName, rows, type Queryable } from "../../base/sql";
import type { Waiting } from "../../ledger/archived";

/**
 * Moves each sequence of a table past every value that waits in the archive, and past all that were ever handed out. Done
 * in the transaction that makes the table: from its first moment no new row takes the number of an archived one.
 */
export async function raiseSequences(db: Queryable, waiting: Waiting): Promise<void> {
  if (!waiting.there) return;
  const [table, archived] = [quoteName(waiting.original), quoteName(waiting.archivedAs)];
  const owned = await rows<{ sql: string }>(
    db,
    `SELECT pg_catalog.format(
       'SELECT pg_catalog.setval(%L::regclass, v) FROM (SELECT greatest((SELECT max(%I) FROM %s), (SELECT max(%I) FROM %s), '
         || '(SELECT last_value FROM %s WHERE is_called)%s) AS v) s WHERE v > 0',
       live.seq, a.attname, $1::regclass, b.attname, $2::regclass, live.seq,
       ', (SELECT last_value FROM ' || old.seq || ' WHERE is_called)') AS sql
     FROM pg_catalog.pg_attribute a
     CROSS JOIN LATERAL pg_catalog.pg_get_serial_sequence($3, a.attname) live(seq)
     JOIN pg_catalog.pg_attribute b ON b.attrelid = $2::regclass AND b.attname = a.attname AND NOT b.attisdropped
     CROSS JOIN LATERAL pg_catalog.pg_get_serial_sequence($4, b.attname) old(seq)
     WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND live.seq IS NOT NULL`,
    [table, archived, table, archived],
  );
  await db.query("SET LOCAL row_security = off");
  for (const { sql } of owned) await db.query(sql);
}
