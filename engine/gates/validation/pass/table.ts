import { escapeIdentifier } from "pg";
import { v6Tables } from "../../../../spec/roles";
import { v6Family, type Moment } from "../../../backup/snapshot/moment";
import type { ManifestTable } from "../../../backup/manifest";
import { sqlName } from "../../../base/names";
import { plainTypes } from "../../../base/names";
import { first, rows, type Queryable } from "../../../base/sql";

/** A column that the backup and the table have. */
export interface Column {
  readonly name: string;
  /** As SQL writes it, with what is in brackets. */
  readonly type: string;
  /** The same without what is in brackets, which would cut a longer value. */
  readonly bare: string;
  /** In a line of the backup. */
  readonly place: number;
}

/** A table of v6, or a partition of one, as it is now. */
export interface Table {
  readonly oid: string;
  /** `schema.name`, as it is. */
  readonly name: string;
  /** For SQL. */
  readonly quoted: string;
  /** For people. */
  readonly shown: string;
  readonly unlogged: boolean;
  readonly columns: readonly Column[];
  /** Of the primary key, or of another unique index without NULLs; empty: there is none. */
  readonly key: readonly Column[];
  /** Its keys are uuids or numbers, which name nobody: they may be told. */
  readonly plain: boolean;
}

interface Described extends Record<string, unknown> {
  oid: string;
  persistence: string;
  columns: { name: string; type: string; bare: string; plain: boolean }[];
  key: string[] | null;
}

/**
 * Of all unique indexes that tell every row from every other: the primary key, else the shortest. `indkey` counts from 0.
 */
const keyOf = `(SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) g
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[g] ORDER BY g)
  FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
    AND NOT EXISTS (SELECT FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) g
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[g]
      WHERE NOT coalesce(a.attnotnull AND a.attgenerated = '', false))
  ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1)`;

/**
 * @param was as the backup has it; without its columns all are meant
 * @returns nothing where there is no such table any more
 */
export async function describeTable(db: Queryable, was: ManifestTable): Promise<Table | undefined> {
  const found = await first<Described>(
    db,
    `SELECT c.oid::text, c.relpersistence::text AS persistence, ${keyOf} AS key,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
           'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'bare', pg_catalog.format_type(a.atttypid, -1),
           'plain', a.atttypid = ANY (${plainTypes})) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'`,
    [was.schema, was.table],
  );
  if (!found) return undefined;
  const places = new Map((was.columns ?? found.columns.map(({ name }) => name)).map((name, place) => [name, place]));
  const columns = found.columns.flatMap(({ name, type, bare }): Column[] => {
    const place = places.get(name);
    return place === undefined ? [] : [{ name, type, bare, place }];
  });
  const names = found.key ?? [];
  const key = names.flatMap((name) => columns.find((column) => column.name === name) ?? []);
  return {
    oid: found.oid,
    name: `${was.schema}.${was.table}`,
    quoted: `${escapeIdentifier(was.schema)}.${escapeIdentifier(was.table)}`,
    shown: shownTable(was),
    unlogged: found.persistence === "u",
    columns,
    key: key.length === names.length ? key : [],
    plain: names.every((name) => found.columns.some((column) => column.name === name && column.plain)),
  };
}

export const shownTable = ({ schema, table }: { schema: string; table: string }): string =>
  `${sqlName(schema)}.${sqlName(table)}`;

/** @returns the backup's tables that hold v6's rows; another schema's of the same names are none of v6's */
export const tablesOfV6 = (tables: readonly ManifestTable[], { roots }: Moment): ManifestTable[] =>
  tables.filter(({ oid = 0 }) => roots[oid] !== undefined);

/** The tables that hold v6's rows now, partitions and those that inherit one by one; one that inherits from two is one. */
export const tablesNow = (db: Queryable): Promise<{ schema: string; table: string }[]> =>
  rows(db, `SELECT DISTINCT f.schema, f.name AS "table" FROM (${v6Family}) f ORDER BY 1, 2`, [v6Tables]);
