import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { quoteName } from "../../engine/base/sql";
import { ledgerTable } from "../../engine/ledger/schema";
import { foreignKeys, type Key } from "../../scripts/docs/catalogue";
import { columnsOf, specimen } from "../../scripts/docs/specimens";
import { markable, type Markable } from "../../scripts/docs/erasure";
import { bases, type Kind } from "./erasure_rows";

/** The one who is erased, and another patient, in whose records he is mentioned. */
export const erased = "e7a5ed00-1616-4014-8014-0000e7a5ed00";
const stranger = "57a4e300-1616-4014-8014-000057a4e300";
const other = "0be70000-1616-4014-8014-00000be70000";

/** What he is known by, as regular expressions without regard to case: his id, his name and address, his number. */
export const marks = {
  ofHim: `${erased}|zyxmark|5550192837465`,
  /** In rows that nobody linked to his account, and so without its id. */
  unlinked: `${stranger}|qxstranger|5550918273645`,
};

/** Whose row it is, by id. */
const owners = { his: erased, others: other, nobodys: null } as const satisfies Record<Kind, string | null>;

/** The id of a kind's row in every table, so that keys among rows are met; nobody's id. */
const rowId = (kind: Kind): string =>
  (kind === "his" ? "1" : kind === "others" ? "2" : "3").repeat(8) + "-0000-4000-8000-000000000000";

/** Names differ by kind, since some must be alone of their kind. */
const nameIn = (kind: Kind): string => (kind === "nobodys" ? "qxstranger" : `zyxmark${kind}`);
const idIn = (kind: Kind): string => (kind === "nobodys" ? stranger : erased);
const number = (kind: Kind): string => (kind === "nobodys" ? "5550918273645" : "5550192837465");

/** What somebody would write of him, from free text to the tightest word; the first that a column takes is its mark. */
function texts(kind: Kind): string[] {
  const name = nameIn(kind);
  return [
    `${name} ${name}@example.org +49 ${number(kind)} ${idIn(kind)}`,
    `${name}@example.org`,
    `https://example.org/fhir/Patient/${name}`,
    name,
    name.toUpperCase(),
    `public.${name}`,
    idIn(kind),
  ];
}

/** SQL expressions of a column's marks; `base` is what the row has there otherwise. */
function candidates({ type }: Markable, base: string | undefined, kind: Kind): string[] {
  const words = texts(kind).map(escapeLiteral);
  const person = escapeLiteral(JSON.stringify({ name: nameIn(kind), phone: number(kind) }));
  const issue = escapeLiteral(JSON.stringify({ path: "Patient.name", code: "value", diagnostics: nameIn(kind) }));
  if (type === "uuid") return [`${escapeLiteral(idIn(kind))}::uuid`];
  if (type === "uuid[]") return [`ARRAY[${escapeLiteral(idIn(kind))}::uuid]`];
  if (type === "bytea") return words.map((word) => `convert_to(${word}, 'UTF8')`);
  if (type.endsWith("[]")) return words.map((word) => `ARRAY[${word}]::${type}`);
  if (!type.startsWith("json")) return words.map((word) => `${word}::${type}`);
  const more = base === undefined ? [] : [`${base} || jsonb_build_object('more', ${person}::jsonb)`];
  return [...more, `${person}::jsonb`, `jsonb_build_array(${person}::jsonb)`, `jsonb_build_array(${issue}::jsonb)`];
}

/** A key whose column is generated from another: that one is given, and for who is no account, what says so. */
const generated: Readonly<Record<string, { from: string; noAccount: string }>> = {
  "public.collaboration_participants.account_id": { from: "user_id", noAccount: "is_account" },
};
const givenBy = ({ table, column }: Key): string => generated[`${table}.${column}`]?.from ?? column;

/** The key by which a row goes with its person; nullable: there may be rows of nobody. */
const subjectOf = (keys: readonly Key[], table: string): Key | undefined =>
  keys.find((key) => key.table === table && key.target === "auth.users" && key.action === "CASCADE");

/**
 * Puts into every table a row of each kind, with what he is known by in every column that takes it: as the owner, with checks,
 * keys and triggers as they are.
 * @param admin a superuser
 */
export async function markEverything(admin: Client, tables: readonly string[]): Promise<void> {
  const keys = await foreignKeys(admin, tables);
  const columns = await markable(admin, tables);
  await admin.query(`INSERT INTO auth.users (id, email, created_at) VALUES ('${other}', 'other@example.org', now())`);
  for (const table of tables) {
    const subject = subjectOf(keys, table);
    for (const kind of ["his", "others", "nobodys"] as const) {
      if (kind === "nobodys" && subject?.nullable !== true) continue;
      // Of him there is one account, and of the ledger one row.
      if (["auth.users", ledgerTable("ledger")].includes(table) && kind !== "his") continue;
      const of = columns.filter((column) => column.table === table);
      await markRow(admin, table, kind, of, keys);
    }
  }
}

/** @throws Error if the table takes no such row, marked or not */
async function markRow(
  admin: Client,
  table: string,
  kind: Kind,
  columns: readonly Markable[],
  keys: readonly Key[],
): Promise<void> {
  const row = await baseRow(admin, table, kind, keys);
  const fixed = new Set(["id", ...keys.filter((key) => key.table === table).map(givenBy)]);
  const insert = (with_: ReadonlyMap<string, string>): string => {
    const names = [...with_.keys()].map(escapeIdentifier).join(", ");
    return `INSERT INTO ${quoteName(table)} (${names}) OVERRIDING SYSTEM VALUE VALUES (${[...with_.values()].join(", ")})`;
  };
  const attempt = async (sql: string, keep: boolean): Promise<string | undefined> => {
    await admin.query("SAVEPOINT mark");
    try {
      await admin.query(sql);
      if (!keep) await admin.query("ROLLBACK TO mark");
      return undefined;
    } catch (err) {
      await admin.query("ROLLBACK TO mark");
      return (err as Error).message;
    }
  };
  await admin.query("BEGIN");
  for (const column of columns.filter(({ name }) => !fixed.has(name))) {
    for (const mark of candidates(column, row.get(column.name), kind)) {
      const tried = new Map([...row, [column.name, mark]]);
      if ((await attempt(insert(tried), false)) !== undefined) continue;
      row.set(column.name, mark);
      break;
    }
  }
  const failed = await attempt(insert(row), true);
  await admin.query("COMMIT");
  if (failed !== undefined) throw new Error(`no row of ${table} (${kind}) can be made: ${failed}`);
}

/** What a row needs, as SQL expressions by column. */
async function baseRow(admin: Client, table: string, kind: Kind, keys: readonly Key[]): Promise<Map<string, string>> {
  const uuid = (id: string | null): string => (id === null ? "NULL" : `${escapeLiteral(id)}::uuid`);
  const row = new Map<string, string>();
  for (const column of await columnsOf(admin, table)) {
    if (column.name === "id" && column.type === "uuid")
      row.set("id", uuid(table === "auth.users" ? erased : rowId(kind)));
    else if (column.needed) row.set(column.name, specimen(column.type, rowId(kind)));
  }
  for (const key of keys.filter((one) => one.table === table && !one.column.includes(","))) {
    const person = key.action === "CASCADE" ? owners[kind] : erased;
    // What nobody's row refers to may be nobody's as well, or always somebody's.
    const of = kind === "nobodys" && subjectOf(keys, key.target)?.nullable !== true ? "others" : kind;
    const other = generated[`${table}.${key.column}`];
    if (other && person === null) row.set(other.noAccount, "false").set(other.from, uuid(stranger));
    else row.set(givenBy(key), uuid(key.target === "auth.users" ? person : rowId(of)));
  }
  for (const [column, sql] of Object.entries(bases(kind)[table] ?? {})) row.set(column, sql);
  return row;
}

/** @returns every column of the database that still holds what a mark matches, and large objects that do, sorted */
export async function findMarks(admin: Client, mark: string): Promise<string[]> {
  const { rows } = await admin.query<{ table: string; columns: string[]; bytes: boolean[] }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS table, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
            array_agg(a.atttypid = 'bytea'::regtype ORDER BY a.attnum) AS bytes
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
       AND a.attnum > 0 AND NOT a.attisdropped GROUP BY 1 ORDER BY 1`,
  );
  const found: string[] = [];
  for (const { table, columns, bytes } of rows) {
    const counts = columns.map((name, i) => {
      const column = escapeIdentifier(name);
      return `count(*) FILTER (WHERE ${bytes[i] === true ? `encode(${column}, 'escape')` : `${column}::text`} ~* $1)`;
    });
    const { rows: counted } = await admin.query<{ counts: string[] }>(
      `SELECT ARRAY[${counts.join(", ")}] AS counts FROM ${table}`,
      [mark],
    );
    columns.forEach((name, i) => {
      if (counted[0]?.counts[i] !== "0") found.push(`${table}.${name}`);
    });
  }
  const large = await admin.query("SELECT FROM pg_largeobject WHERE encode(data, 'escape') ~* $1 LIMIT 1", [mark]);
  return [...found, ...(large.rowCount ? ["large objects"] : [])].sort();
}
