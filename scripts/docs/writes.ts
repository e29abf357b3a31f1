import type { Client } from "pg";
import { lex } from "../../engine/module/files/lexer";

/** Who writes a column: rights of a role, and functions that it may call. */
export interface Written {
  table: string;
  column: string;
  /** INSERT, UPDATE: with a policy that lets rows pass. */
  rights: string[];
  /** As module.yaml writes them, without schema and arguments. */
  functions: string[];
}

/** The one writer of audit_log. */
const auditor = "public.write_audit_log";

/** Roles that stand for people. */
const people = ["anon", "authenticated"];

/**
 * What users can write of text, JSON and arrays: by their rights on columns, and through the functions that they may call,
 * as these and the functions that they call insert and update. What a trigger writes is not followed, nor what the one
 * writer of the audit trail does: that is keys and their own words.
 * @param tables of the modules, with their schema
 */
export async function writtenByUsers(client: Client, tables: readonly string[]): Promise<Written[]> {
  const { rows: granted } = await client.query<{ table: string; column: string; rights: string[] }>(
    `SELECT c.oid::regclass::text AS table, a.attname AS column, array_agg(DISTINCT v.verb ORDER BY v.verb) AS rights
     FROM unnest($1::regclass[]) t(oid) JOIN pg_class c ON c.oid = t.oid JOIN pg_attribute a ON a.attrelid = c.oid,
       (VALUES ('INSERT', 'a'), ('UPDATE', 'w')) v(verb, letter), pg_roles r
     WHERE r.rolname = ANY ($2) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND has_column_privilege(r.oid, c.oid, a.attnum, v.verb)
       AND (NOT c.relrowsecurity OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('*', v.letter::"char")
         AND (p.polroles = '{0}' OR r.oid = ANY (p.polroles))))
     GROUP BY c.oid, a.attname`,
    [tables, people],
  );
  const { rows: routines } = await client.query<{ name: string; source: string; callable: boolean }>(
    `SELECT n.nspname || '.' || p.proname AS name, p.prosrc AS source, EXISTS (
       SELECT FROM pg_roles r WHERE r.rolname = ANY ($2) AND has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS callable
     FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
     WHERE l.lanname IN ('sql', 'plpgsql') AND p.prorettype <> 'trigger'::regtype
       AND n.nspname = ANY (SELECT DISTINCT split_part(t, '.', 1) FROM unnest($1::text[]) t)`,
    [tables, people],
  );
  const writers = new Map<string, Set<string>>();
  for (const { name } of routines.filter(({ callable }) => callable)) {
    for (const reached of reach(name, routines)) {
      for (const [target, columns] of targets(reached.source)) {
        for (const column of columns) {
          const key = `${target}.${column}`;
          writers.set(key, (writers.get(key) ?? new Set()).add(name.split(".")[1] ?? name));
        }
      }
    }
  }
  const { rows: columns } = await client.query<{ table: string; column: string }>(
    `SELECT n.nspname || '.' || c.relname AS table, a.attname AS column
     FROM unnest($1::regclass[]) WITH ORDINALITY t(oid, place) JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type y ON y.oid = a.atttypid
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND (y.typcategory = 'A' OR y.oid = ANY ('{text,varchar,bpchar,json,jsonb,xml,bytea,numeric,bit,varbit}'::regtype[]))
     ORDER BY t.place, a.attnum`,
    [tables],
  );
  return columns.flatMap(({ table, column }) => {
    const rights = granted.find((one) => named(one.table) === table && one.column === column)?.rights ?? [];
    const functions = [...(writers.get(`${table}.${column}`) ?? [])].sort();
    return rights.length + functions.length > 0 ? [{ table, column, rights, functions }] : [];
  });
}

/** regclass leaves the schema out where the search_path has it. */
const named = (name: string): string => (name.includes(".") ? name : `public.${name}`);

interface Routine {
  name: string;
  source: string;
}

/** A function and all that it calls, by name. */
function reach(name: string, routines: readonly Routine[], seen = new Set<string>()): Routine[] {
  if (seen.has(name) || name === auditor) return [];
  seen.add(name);
  return routines
    .filter((routine) => routine.name === name)
    .flatMap((routine) => {
      const called = words(routine.source).filter((word) => routines.some((one) => one.name === word));
      return [routine, ...called.flatMap((one) => reach(one, routines, seen))];
    });
}

/** The tokens that are neither blank nor comment; names with their schema in one. */
function words(source: string): string[] {
  const tokens = [...lex(source)].filter(({ kind }) => kind !== "blank" && kind !== "comment").map(({ text }) => text);
  const found: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const [word = "", dot, name] = tokens.slice(i, i + 3);
    if (dot === "." && name !== undefined && word === "public") {
      found.push(`${word}.${name}`);
      i += 2;
    } else found.push(word);
  }
  return found;
}

/** @returns the tables that a body inserts into or updates, each with the columns that it gives */
function targets(source: string): Map<string, Set<string>> {
  const all = words(source);
  const found = new Map<string, Set<string>>();
  const note = (table: string, columns: readonly string[]): void => {
    const of = found.get(table) ?? new Set<string>();
    found.set(table, of);
    for (const column of columns) of.add(column);
  };
  let inserted = "";
  for (const [i, word] of all.entries()) {
    const [verb, next] = [word.toUpperCase(), all[i + 1]?.toUpperCase()];
    if (verb === "INSERT" && next === "INTO") {
      inserted = all[i + 2] ?? "";
      const open = all[i + 3]?.toUpperCase() === "AS" ? i + 5 : i + 3;
      if (all[open] === "(")
        note(
          inserted,
          all.slice(open + 1, all.indexOf(")", open)).filter((name) => name !== ","),
        );
    } else if (verb === "UPDATE" && next === "SET") {
      note(inserted, assigned(all, i + 2));
    } else if (verb === "UPDATE" && next !== undefined && all[i - 1]?.toUpperCase() !== "FOR") {
      const set = all.findIndex((one, at) => at > i && one.toUpperCase() === "SET");
      if (set > 0 && set <= i + 4) note(all[i + 1] ?? "", assigned(all, set + 1));
    }
  }
  return found;
}

/** The columns left of `=` in a SET list, up to what ends it. */
function assigned(all: readonly string[], from: number): string[] {
  const columns: string[] = [];
  let depth = 0;
  for (let i = from; i < all.length; i++) {
    const word = all[i] ?? "";
    if (word === "(" || word === "[") depth += 1;
    if (word === ")" || word === "]") depth -= 1;
    if (depth < 0 || (depth === 0 && /^(WHERE|FROM|RETURNING|;)$/i.test(word))) break;
    if (depth === 0 && (i === from || all[i - 1] === ",") && all[i + 1] === "=") columns.push(word);
  }
  return columns;
}
