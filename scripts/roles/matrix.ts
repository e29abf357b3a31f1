import { escapeIdentifier, type Client } from "pg";
import { assess } from "../../engine/assess";
import { GuardianError } from "../../engine/base/errors";
import { quoteName } from "../../engine/base/sql";
import { Database } from "../../engine/database";
import { archiveSchema, ledgerSchema } from "../../engine/ledger/schema";
import type { Module } from "../../engine/module/files/manifest";
import { roleNames, v6Tables, type RoleName } from "../../spec/roles";
import { listed } from "../docs/catalogue";
import { withClient } from "../v6/database";
import { settingsOf } from "../v6/operator";
import { v6Owner, type RolesDatabase } from "./database";
import { attachments, attempt, changes, reading, type Act } from "./tries";

/** What was tried, and what each role could. */
export interface Section {
  title: string;
  /** What stands in the first column. */
  of: string;
  rows: { name: string; cells: Record<RoleName, string> }[];
}

const reads = { yes: ["read"], part: ["(read)"], no: [] } as const;

/** A section as it is tried: of each row, what one client could. */
interface Trial {
  title: string;
  of: string;
  rows: { name: string; cell: (client: Client) => Promise<string> }[];
}

/**
 * Tries everything that the four roles should and should not be able to do, logged in as each, on a migrated database. What is tried is
 * rolled back.
 */
export async function tryRoles(database: RolesDatabase, modules: readonly Module[]): Promise<Section[]> {
  const { admin } = database;
  return withClient(admin, async (superuser) => {
    const trials = await trialsOf(superuser, modules);
    const sections = trials.map(({ title, of, rows }): Section => {
      const empty = () => Object.fromEntries(roleNames.map((role) => [role, ""])) as Record<RoleName, string>;
      return { title, of, rows: rows.map(({ name }) => ({ name, cells: empty() })) };
    });
    for (const role of roleNames) {
      await withClient(database.as[role], async (client) => {
        for (const [i, trial] of trials.entries()) {
          for (const [j, { cell }] of trial.rows.entries()) {
            const row = sections[i]?.rows[j];
            if (row) row.cells[role] = await cell(client);
          }
        }
      });
    }
    return [...sections, await product(database)];
  });
}

async function trialsOf(superuser: Client, modules: readonly Module[]): Promise<Trial[]> {
  const pid = Number((await superuser.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid);
  const tables = listed(modules, "table");
  const ledger = await relationsOf(superuser, ledgerSchema);
  const columns = await firstColumns(superuser, [...v6Tables, ...tables, ...ledger]);
  const column = (table: string): string => escapeIdentifier(columns.get(table) ?? "");
  const operations = modules.filter(({ name }) => name === "009_operations");
  return [
    { title: "The server and the database", of: "Act", rows: serverActs(pid).map(yesOrNo) },
    {
      title: "v6's tables",
      of: "Table",
      rows: v6Tables.map((name) => ({
        name,
        cell: (client) => allOf(client, name, column(name), true),
      })),
    },
    {
      title: "What the migration made",
      of: "All of",
      rows: [
        ["v7's tables", tables],
        ["v7's views", listed(modules, "view")],
        ["the ledger's tables", ledger],
      ].map(([name, relations]) => ({
        name: `${name as string} (${String(relations?.length)})`,
        cell: (client) => summed(client, relations as string[], column, name === "v7's views"),
      })),
    },
    {
      title: "Functions of module 009",
      of: "Function",
      rows: listed(operations, "function").map((name) => ({ name, cell: calling(name) })),
    },
    {
      title: "A dump",
      of: "Act",
      rows: [
        yesOrNo({
          name: "lock and read every table of every schema, row security off, as pg_dump does",
          sql: dumping,
        }),
      ],
    },
  ];
}

const serverActs = (pid: number): Act[] => [
  { name: "make a schema", sql: "CREATE SCHEMA tried_by_roles" },
  ...[ledgerSchema, archiveSchema, "public"].map((schema) => ({
    name: `make a table in ${schema}`,
    sql: `CREATE TABLE ${schema}.tried_by_roles ()`,
  })),
  { name: "make a temporary table", sql: "CREATE TEMPORARY TABLE tried_by_roles ()" },
  { name: "make a large object", sql: "SELECT lo_create(0)" },
  { name: "make a role", sql: "CREATE ROLE tried_by_roles" },
  { name: "become the owner of v6", sql: `SET LOCAL ROLE ${v6Owner}` },
  { name: "become service_role", sql: "SET LOCAL ROLE service_role" },
  { name: "let others in: GRANT on v6's accounts", sql: granting("auth.users") },
  { name: "change settings for everybody", sql: settingForAll },
  { name: "read hashes of passwords of roles", sql: "SELECT count(rolpassword) FROM pg_catalog.pg_authid" },
  { name: "read files of the server", sql: "SELECT pg_catalog.pg_read_file('PG_VERSION')" },
  { name: "run a program on the server", sql: "COPY (SELECT 1) TO PROGRAM 'true'" },
  { name: "stop a superuser's statement", sql: `SELECT pg_catalog.pg_cancel_backend(${pid})` },
  { name: "make a replication slot", sql: "SELECT pg_catalog.pg_create_physical_replication_slot('tried_by_roles')" },
];

/** GRANT of what one may not pass on is a warning and no error. */
function granting(table: string): string {
  return `GRANT SELECT ON ${table} TO anon; DO $$ BEGIN IF NOT has_table_privilege('anon', '${table}', 'SELECT') THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'nothing was granted'; END IF; END $$`;
}

const settingForAll =
  "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''4MB''', current_database()); END $$";

/** As getTables of pg_dump: ACCESS SHARE on each, then its rows. */
const dumping = `SET LOCAL row_security = off; DO $$ DECLARE r regclass; BEGIN
  FOR r IN SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' LOOP
    IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = r) <> 'S' THEN
      EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', r);
    END IF;
    EXECUTE format('SELECT count(*) FROM %s', r);
  END LOOP; END $$`;

const yesOrNo = ({ name, sql }: Act) => ({
  name,
  cell: async (client: Client): Promise<string> => ((await attempt(client, sql)) ? "yes" : "–"),
});

/** All that could be done to a table, in words. */
async function allOf(client: Client, name: string, column: string, attached: boolean): Promise<string> {
  const table = quoteName(name);
  const done: string[] = [...reads[await reading(client, table)]];
  for (const act of [...(attached ? attachments(table) : []), ...changes(table, column)]) {
    if (await attempt(client, act.sql)) done.push(act.name);
  }
  return done.join(", ") || "–";
}

/** The same of many: what could be done to each of them, or to how many. */
async function summed(
  client: Client,
  names: readonly string[],
  column: (name: string) => string,
  views: boolean,
): Promise<string> {
  const counts = new Map<string, number>();
  for (const name of names) {
    const done = views ? reads[await reading(client, quoteName(name))] : await allOf(client, name, column(name), false);
    for (const act of typeof done === "string" ? done.split(", ") : done) counts.set(act, (counts.get(act) ?? 0) + 1);
  }
  counts.delete("–");
  const parts = [...counts].map(([act, n]) => (n === names.length ? act : `${act} ${n} of them`));
  return parts.join(", ") || "–";
}

/** Whether it may be called: with NULL for each argument it does, or says, something of its own. */
function calling(name: string) {
  return async (client: Client): Promise<string> => {
    const [schema = "", called = ""] = name.split(/[.(]/);
    const types = /\((.*)\)$/.exec(name)?.[1] ?? "";
    const args =
      types === ""
        ? ""
        : types
            .split(", ")
            .map((type) => `NULL::${type}`)
            .join(", ");
    const sql = `SELECT ${escapeIdentifier(schema)}.${escapeIdentifier(called)}(${args})`;
    return (await attempt(client, sql)) ? "runs" : "–";
  };
}

async function relationsOf(client: Client, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT schemaname || '.' || tablename AS name FROM pg_catalog.pg_tables WHERE schemaname = $1 ORDER BY 1",
    [schema],
  );
  return rows.map(({ name }) => name);
}

async function firstColumns(client: Client, tables: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; column: string }>(
    `SELECT t.name, (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.name::regclass AND a.attnum > 0
       AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum LIMIT 1) AS column FROM unnest($1::text[]) t(name)`,
    [tables],
  );
  return new Map(rows.map(({ name, column }) => [name, column]));
}

/** What the product itself says to each of them before it does anything. */
async function product(database: RolesDatabase): Promise<Section> {
  const rows: Section["rows"] = [];
  for (const [name, preview] of [
    ["preview", true],
    ["up", false],
  ] as const) {
    const cells = {} as Record<RoleName, string>;
    for (const role of roleNames) {
      const host = new Database(settingsOf(database.as[role]));
      try {
        await host.read((db) => assess(db, undefined, preview));
        cells[role] = "goes on";
      } catch (err) {
        if (!(err instanceof GuardianError) || err.code !== "right-missing") throw err;
        cells[role] = "names the rights that are missing";
      } finally {
        await host.close();
      }
    }
    rows.push({ name: `the assessment before ${name}`, cells });
  }
  return { title: "The product itself", of: "Act", rows };
}
