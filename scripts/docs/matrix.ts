import { escapeIdentifier, type Client } from "pg";
import { isPostgres } from "../../engine/base/errors";
import { quoteName } from "../../engine/base/sql";
import { become } from "../v6/database";
import { columnsOf, people, specimen, type Column } from "./specimens";

/** Whose hands are tried, in the order of the page's columns. */
export const actors = [
  { name: "anon", role: "anon", user: undefined },
  { name: "owner", role: "authenticated", user: people.owner },
  { name: "other user", role: "authenticated", user: people.other },
  { name: "provider", role: "authenticated", user: people.provider },
  { name: "service_role", role: "service_role", user: undefined },
  { name: "operator", role: "guardian_operator", user: undefined },
] as const;
type Actor = (typeof actors)[number]["name"];

/**
 * What came of a try. yes: done. no: no right to it. row: the right is there, row security shows or takes no such row; the
 * function returned nothing, or false. refused: the table's trigger, or the function itself, said no. failed: the function ran into
 * the made-up values. broken: something that it uses is not allowed.
 */
export type Outcome = "yes" | "no" | "row" | "refused" | "failed" | "broken";

export const acts = ["read", "insert", "update", "delete", "truncate"] as const;
type Act = (typeof acts)[number];

export interface TableTries {
  outcomes: Record<Act, Outcome>;
  /** Columns that cannot be read although the table can. */
  hidden: string[];
}

/** By relation, or by function as module.yaml writes it, then by actor. */
export interface Matrix {
  tables: Map<string, Map<Actor, TableTries>>;
  functions: Map<string, Map<Actor, Outcome>>;
}

interface Routine {
  name: string;
  call: string;
}

/**
 * Tries every act of every actor on every table and function, and reading of views, on the specimen rows of the owner, as the role itself.
 * Everything is rolled back.
 * @param admin a superuser, who may become every role
 */
export async function tryAll(
  admin: Client,
  tables: readonly string[],
  views: readonly string[],
  functions: readonly string[],
): Promise<Matrix> {
  const relations = [...tables, ...views];
  const columns = new Map<string, Column[]>();
  for (const relation of relations) columns.set(relation, await columnsOf(admin, relation));
  const routines: Routine[] = [];
  for (const name of functions) routines.push(await routine(admin, name));
  const matrix: Matrix = {
    tables: new Map(relations.map((name) => [name, new Map<Actor, TableTries>()])),
    functions: new Map(functions.map((name) => [name, new Map<Actor, Outcome>()])),
  };
  for (const actor of actors) {
    await admin.query(`BEGIN; SET LOCAL statement_timeout = '20s'; ${become(actor.role, actor.user)}`);
    for (const [relation, of] of columns) {
      matrix.tables.get(relation)?.set(actor.name, await tryTable(admin, relation, of, views.includes(relation)));
    }
    for (const { name, call } of routines) {
      matrix.functions.get(name)?.set(actor.name, await tryFunction(admin, name, call));
    }
    await admin.query("ROLLBACK");
  }
  return matrix;
}

async function tryTable(
  client: Client,
  relation: string,
  columns: readonly Column[],
  isView: boolean,
): Promise<TableTries> {
  const table = quoteName(relation);
  const own = relation.split(".")[1] ?? relation;
  const run = (text: string): Promise<Outcome> =>
    attempt(client, text, new RegExp(`^permission denied for \\w+ ${own}$`));
  const all = columns.map((column) => escapeIdentifier(column.name));
  const read = await run(`SELECT count(*) AS n FROM ${table} HAVING count(*) > 0`);
  const hidden: string[] = [];
  if (read === "yes" || read === "row") {
    for (const [i, name] of all.entries()) {
      if ((await run(`SELECT ${name} FROM ${table} LIMIT 0`)) === "no") hidden.push(columns[i]?.name ?? name);
    }
  }
  const none = { read, insert: "no", update: "no", delete: "no", truncate: "no" } as const;
  if (isView) return { outcomes: none, hidden };
  const may = async (right: "INSERT" | "UPDATE"): Promise<Column[]> => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT a.attname AS name FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
       AND has_column_privilege(a.attrelid, a.attnum, $2)`,
      [table, right],
    );
    const given = columns.filter((column) => !column.generated);
    const allowed = given.filter((column) => rows.some((row) => row.name === column.name));
    return allowed.length > 0 ? allowed : given;
  };
  // The owner's row once more: past rights and row security a key or a rule may stop it, which is as good as done.
  const insert = (await may("INSERT")).filter((column) => column.needed || column.type === "uuid");
  const update = await may("UPDATE");
  const plain = update.find((column) => column.type !== "uuid" && !column.needed) ?? update[0];
  const outcomes = {
    read,
    insert: await run(
      insert.length === 0
        ? `INSERT INTO ${table} DEFAULT VALUES`
        : `INSERT INTO ${table} (${insert.map((column) => escapeIdentifier(column.name)).join(", ")}) OVERRIDING SYSTEM VALUE
           VALUES (${insert.map((column) => specimen(column.type, people.owner)).join(", ")})`,
    ),
    update: await run(
      `UPDATE ${table} SET ${escapeIdentifier(plain?.name ?? "")} = ${specimen(plain?.type ?? "text", people.owner)}`,
    ),
    delete: await run(`DELETE FROM ${table}`),
    truncate: await run(`TRUNCATE ${table}`),
  };
  return { outcomes, hidden };
}

async function routine(client: Client, name: string): Promise<Routine> {
  const { rows } = await client.query<{ called: string; types: string[]; names: string[] | null }>(
    `SELECT p.oid::regproc::text AS called, p.proargnames AS names,
            ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i) ORDER BY i) AS types
     FROM pg_proc p WHERE p.oid = to_regprocedure($1)`,
    [name],
  );
  const [found] = rows;
  if (!found) throw new Error(`no function ${name}`);
  // Who is let in is the provider; everybody else is the owner.
  const args = found.types.map((type, i) =>
    specimen(
      type,
      /accessor|granted_to|participant|provider/.test(found.names?.[i] ?? "") ? people.provider : people.owner,
    ),
  );
  return { name, call: `SELECT ${found.called}(${args.join(", ")})` };
}

async function tryFunction(client: Client, name: string, call: string): Promise<Outcome> {
  const own = name.replace(/^\w+\./, "").replace(/\(.*/, "");
  return attempt(client, call, new RegExp(`^permission denied for function ${own}$`), true);
}

/** Raised by a trigger or function of ours as its own answer, or by a value that it does not take. */
const answers = /^(P0001|22|0A|55|GM|2F|40001)/;

async function attempt(client: Client, text: string, denied: RegExp, called = false): Promise<Outcome> {
  await client.query("SAVEPOINT try");
  try {
    const { rows, rowCount } = await client.query<Record<string, unknown>>(text);
    // pg gives a void function's result as "".
    const empty = (value: unknown): boolean => value === null || value === false;
    const nothing = rows.length > 0 && rows.every((row) => Object.values(row).every(empty));
    return rowCount === 0 || nothing ? "row" : "yes";
  } catch (err) {
    if (!isPostgres(err)) throw err;
    const [code, message] = [err.code ?? "", err.message];
    if (code.startsWith("23")) return called ? "failed" : "yes";
    if (code === "42501") {
      if (denied.test(message)) return "no";
      if (/^new row violates row-level security/.test(message)) return "row";
      return /^permission denied for /.test(message) ? "broken" : "refused";
    }
    if (answers.test(code)) return called ? "failed" : "refused";
    throw new Error(`${text}: ${code} ${message}`, { cause: err });
  } finally {
    await client.query("ROLLBACK TO SAVEPOINT try");
  }
}
