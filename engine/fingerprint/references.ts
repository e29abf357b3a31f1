import { v6Tables } from "../../spec/roles";
import type { Askable } from "../base/sql";

/** A foreign key of a table that is not v6's on a table that is; names are quoted and ready for SQL. */
export interface Reference {
  /** table.constraint, for people. */
  key: string;
  from: string;
  column: string;
  target: string;
  targetColumn: string;
}

/**
 * Foreign keys from all other tables, in whatever schema, on v6's tables. Of a key over several columns the first stands
 * for it.
 */
export async function foreignReferences(client: Askable): Promise<Reference[]> {
  const { rows } = await client.query<Reference>(
    `SELECT format('%I.%I.%I', fn.nspname, f.relname, k.conname) AS key,
       format('%I.%I', fn.nspname, f.relname) AS "from", quote_ident(a.attname) AS "column",
       format('%I.%I', tn.nspname, t.relname) AS target, quote_ident(b.attname) AS "targetColumn"
     FROM pg_catalog.pg_constraint k
     JOIN pg_catalog.pg_class f ON f.oid = k.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
     JOIN pg_catalog.pg_class t ON t.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
     JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1]
     WHERE k.contype = 'f' AND k.conparentid = 0 AND format('%I.%I', tn.nspname, t.relname) = ANY ($1::text[])
       AND format('%I.%I', fn.nspname, f.relname) <> ALL ($1::text[])
     ORDER BY 1`,
    [v6Tables],
  );
  return rows;
}
