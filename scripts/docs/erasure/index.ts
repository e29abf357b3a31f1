import type { Client } from "pg";
import { stays, type ReasonName } from "./list";

/** A column that can hold an id, a name or words: what an erasure must reach, or leave for a reason. */
export interface Markable {
  /** With its schema. */
  table: string;
  name: string;
  /** As format_type gives it. */
  type: string;
}

/**
 * Ids, texts, JSON, bytes and arrays of these. Figures and times are those of a row that is somebody's by such a column; what is
 * generated is a part of another column.
 * @param tables with their schema
 */
export async function markable(client: Client, tables: readonly string[]): Promise<Markable[]> {
  const { rows } = await client.query<Markable>(
    `SELECT n.nspname || '.' || c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
     FROM unnest($1::regclass[]) WITH ORDINALITY t(oid, place) JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = y.typelem AND y.typcategory = 'A'
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND coalesce(e.oid, y.oid) = ANY ('{text,varchar,bpchar,name,json,jsonb,xml,uuid,bytea}'::regtype[])
     ORDER BY t.place, a.attnum`,
    [tables],
  );
  return rows;
}

/** @returns the columns that stay for some of the reasons, as `schema.table.column`, sorted */
export function staying(names: readonly ReasonName[]): string[] {
  return names
    .flatMap((name) =>
      Object.entries(stays[name]).flatMap(([table, columns]) =>
        columns.split(" ").map((column) => `${table.includes(".") ? table : `public.${table}`}.${column}`),
      ),
    )
    .sort();
}
