import { endBatch } from "../../ledger/batches";
import { quoteName, rows, type Queryable } from "../../base/sql";
import { openBatch, type Run } from "./batch";

/**
 * A condition, to be added to a WHERE on alias `t`, that no row refers to a row of the table: it would be deleted or
 * emptied with it.
 */
export async function unreferred(db: Queryable, table: string): Promise<string> {
  const referring = await rows<{ condition: string }>(
    db,
    `SELECT pg_catalog.format('EXISTS (SELECT FROM %s r WHERE %s)', k.conrelid::regclass,
              (SELECT pg_catalog.string_agg(pg_catalog.format('r.%I = t.%I', a.attname, f.attname), ' AND ')
               FROM unnest(k.conkey, k.confkey) u(mine, theirs)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine
               JOIN pg_catalog.pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = u.theirs)) AS condition
     FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = $1::regclass ORDER BY k.oid`,
    [quoteName(table)],
  );
  return referring.map((row) => ` AND NOT ${row.condition}`).join("");
}

/**
 * Locks rows that are about to be deleted `unless` somebody refers to them: whoever writes a row that does is waited for,
 * and the DELETE, a statement of its own after this one, sees what he wrote. Else that would go by its ON DELETE.
 * @param where a condition on alias `t`
 * @param unless what `unreferred` returned: where nothing can refer to the table nothing is locked
 */
export async function lockUnreferred(
  db: Queryable,
  table: string,
  where: string,
  unless: string,
  values: unknown[],
): Promise<void> {
  if (unless) await db.query(`SELECT FROM ${quoteName(table)} t WHERE ${where} FOR UPDATE`, values);
}

/**
 * Takes rows of a migration back that nobody refers to, in a ledger batch of the open transaction.
 * @param where a condition on alias `t`
 * @returns how many they were
 */
export async function takeBackUnreferred(db: Queryable, run: Run, where: string, values: unknown[]): Promise<number> {
  const { target } = run.it;
  const unless = await unreferred(db, target);
  await lockUnreferred(db, target, where, unless, values);
  const id = await openBatch(db, run);
  const gone = await db.query(`DELETE FROM ${quoteName(target)} t WHERE ${where}${unless}`, values);
  const takenBack = gone.rowCount ?? 0;
  await endBatch(db, id, { takenBack: String(takenBack) });
  return takenBack;
}
