import type { Client, QueryResultRow } from "pg";
import type { Module } from "../../engine/module/files/manifest";

interface ColumnPage {
  name: string;
  type: string;
  nullable: boolean;
  default: string | null;
  comment: string | null;
}

export interface RelationPage {
  name: string;
  comment: string | null;
  columns: ColumnPage[];
  indexes: string[];
  triggers: string[];
  policies: string[];
}

interface FunctionPage {
  name: string;
  arguments: string;
  returns: string;
  definer: boolean;
  comment: string | null;
}

/** A foreign key of a v7 table. */
export interface Key {
  table: string;
  column: string;
  target: string;
  /** What happens to the row when what it refers to is deleted. */
  action: "CASCADE" | "SET NULL" | "NO ACTION" | "RESTRICT" | "SET DEFAULT";
  nullable: boolean;
}

/** A module as the catalogue of a migrated database describes it. */
export interface ModulePage {
  module: Module;
  tables: RelationPage[];
  views: RelationPage[];
  functions: FunctionPage[];
}

/** @returns the catalogue's words on one module; objects in the order of their names */
export async function describeModule(client: Client, module: Module): Promise<ModulePage> {
  const relation = (name: string): Promise<RelationPage> => describeRelation(client, name);
  return {
    module,
    tables: await inTurn(listed(module, "table"), relation),
    views: await inTurn(listed(module, "view"), relation),
    functions: await inTurn(listed(module, "function"), (name) => describeFunction(client, name)),
  };
}

async function inTurn<T>(names: string[], one: (name: string) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (const name of names.sort()) all.push(await one(name));
  return all;
}

async function describeRelation(client: Client, name: string): Promise<RelationPage> {
  const lines = async (text: string): Promise<string[]> =>
    (await read<{ line: string }>(client, text, [name])).map((row) => row.line);
  const [about] = await read<{ comment: string | null }>(client, "SELECT obj_description($1::regclass) AS comment", [
    name,
  ]);
  return {
    name,
    comment: about?.comment ?? null,
    columns: await read<ColumnPage>(
      client,
      `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
              CASE WHEN a.attgenerated <> '' THEN 'generated: ' WHEN a.attidentity <> '' THEN 'identity' ELSE '' END
                || pg_get_expr(d.adbin, d.adrelid) AS default, col_description(a.attrelid, a.attnum) AS comment
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
      [name],
    ),
    indexes: await lines(
      `SELECT pg_get_indexdef(i.indexrelid) AS line FROM pg_index i WHERE i.indrelid = $1::regclass ORDER BY i.indexrelid::regclass::text`,
    ),
    triggers: await lines(
      `SELECT regexp_replace(pg_get_triggerdef(t.oid), '^CREATE TRIGGER ', '') AS line FROM pg_trigger t
       WHERE t.tgrelid = $1::regclass AND NOT t.tgisinternal ORDER BY t.tgname`,
    ),
    policies: await lines(
      `SELECT format('%s: %s to %s', p.polname, CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END, (SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_roles r WHERE r.oid = ANY (p.polroles)))
              || coalesce(' where ' || pg_get_expr(p.polqual, p.polrelid), '')
              || coalesce(' with check ' || pg_get_expr(p.polwithcheck, p.polrelid), '') AS line
       FROM pg_policy p WHERE p.polrelid = $1::regclass ORDER BY p.polname`,
    ),
  };
}

async function describeFunction(client: Client, name: string): Promise<FunctionPage> {
  const [found] = await read<FunctionPage>(
    client,
    `SELECT p.oid::regproc::text AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS returns,
            p.prosecdef AS definer, obj_description(p.oid) AS comment FROM pg_proc p WHERE p.oid = to_regprocedure($1)`,
    [name],
  );
  if (!found) throw new Error(`no function ${name}`);
  return found;
}

/** @returns the foreign keys of tables, by table and column */
export async function foreignKeys(client: Client, tables: readonly string[]): Promise<Key[]> {
  return read<Key>(
    client,
    `SELECT n.nspname || '.' || c.relname AS table, string_agg(a.attname, ', ' ORDER BY u.i) AS column,
            fn.nspname || '.' || fc.relname AS target, bool_and(NOT a.attnotnull) AS nullable,
            CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'r' THEN 'RESTRICT' WHEN 'd' THEN 'SET DEFAULT'
              ELSE 'NO ACTION' END AS action
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_class fc ON fc.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace,
       unnest(k.conkey) WITH ORDINALITY AS u (num, i) JOIN pg_attribute a ON a.attnum = u.num
     WHERE k.contype = 'f' AND a.attrelid = k.conrelid AND k.conrelid = ANY ($1::regclass[])
     GROUP BY k.oid, n.nspname, c.relname, fn.nspname, fc.relname ORDER BY 1, 2`,
    [tables],
  );
}

async function read<R extends QueryResultRow>(client: Client, text: string, values: unknown[]): Promise<R[]> {
  return (await client.query<R>(text, values)).rows;
}

/** What modules list of one kind in module.yaml. */
export function listed(modules: Module | readonly Module[], kind: "table" | "view" | "function" | "trigger"): string[] {
  return [modules]
    .flat()
    .flatMap(({ objects }) => objects)
    .filter((object) => object.startsWith(`${kind} `))
    .map((object) => object.slice(kind.length + 1));
}
