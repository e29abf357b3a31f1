import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Client } from "pg";
import { parse } from "yaml";
import { joined, readUp } from "../../engine/module/up-files";
import { withV6, type Major, type V6 } from "./postgres";

/** What module.yaml says, as far as the tests need it. */
interface Manifest {
  requires: string[];
  objects: Record<string, string[]>;
  archive: { table: string; subject: string }[];
}

const folder = join(__dirname, "..", "..", "sql");
const read = (name: string, file: string): string => readFileSync(join(folder, name, file), "utf8");
const manifest = (name: string): Manifest => parse(read(name, "module.yaml")) as Manifest;

/** What a module does, as one script. */
export const upOf = (name: string): string => joined(readUp(join(folder, name), (file) => `sql/${name}/${file}`));

/** Applies a module as the engine does: what it does and verify.sql in one transaction. */
export function applyModule(client: Client, name: string): Promise<void> {
  return transaction(client, "BEGIN", async () => {
    await client.query(upOf(name));
    await client.query(read(name, "verify.sql"));
  });
}

/** Runs verify.sql as a refresh does, read-only. Rejects with SQLSTATE GM001 where something is amiss. */
export function verifyModule(client: Client, name: string): Promise<void> {
  return transaction(client, "BEGIN READ ONLY", async () => {
    await client.query(read(name, "verify.sql"));
  });
}

/** Undoes a module as the engine does: its tables into the archive, or dropped when empty, then down.sql. */
export function undoModule(client: Client, name: string): Promise<void> {
  return transaction(client, "BEGIN", async () => {
    const { archive } = manifest(name);
    for (const { table } of archive) await strip(client, table);
    for (const entry of archive) await takeAway(client, entry.table, entry.subject);
    await client.query(read(name, "down.sql"));
  });
}

async function transaction(client: Client, begin: string, work: () => Promise<void>): Promise<void> {
  await client.query(begin);
  try {
    await work();
    await client.query("COMMIT");
  } catch (err) {
    await client.query("ROLLBACK");
    throw err;
  }
}

/** Drops what hangs on a table and is not rows: views, triggers, policies, rights, keys among our own tables. */
async function strip(client: Client, table: string): Promise<void> {
  await each(
    client,
    `SELECT DISTINCT format('DROP VIEW %s', r.ev_class::regclass) AS sql FROM pg_depend d
       JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
       WHERE d.refobjid = $1::regclass AND r.ev_class <> d.refobjid
     UNION ALL SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger
       WHERE tgrelid = $1::regclass AND NOT tgisinternal
     UNION ALL SELECT format('DROP POLICY %I ON %s', polname, polrelid::regclass) FROM pg_policy WHERE polrelid = $1::regclass
     UNION ALL SELECT format('REVOKE ALL ON %s FROM PUBLIC, anon, authenticated, service_role, guardian_operator', $1::regclass)
     UNION ALL SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint
       WHERE contype = 'f' AND confrelid = $1::regclass`,
    [table],
  );
}

/** Drops an empty table; moves another to guardian_archive with the one key that lets an erasure erase. */
async function takeAway(client: Client, table: string, subject: string): Promise<void> {
  const { rows } = await client.query(`SELECT FROM ${table} LIMIT 1`);
  if (rows.length === 0) {
    await client.query(`DROP TABLE ${table}`);
    return;
  }
  await each(
    client,
    `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) AS sql FROM pg_constraint k
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     WHERE k.contype = 'f' AND k.conrelid = $1::regclass AND NOT (a.attname = $2 AND k.confdeltype = 'c')`,
    [table, subject],
  );
  await client.query("CREATE SCHEMA IF NOT EXISTS guardian_archive");
  await client.query(`ALTER TABLE ${table} SET SCHEMA guardian_archive`);
}

async function each(client: Client, text: string, values: unknown[]): Promise<void> {
  const { rows } = await client.query<{ sql: string }>(text, values);
  for (const { sql } of rows) await client.query(sql);
}

/**
 * Everything the catalogue holds outside the system's own schemas, one line an object, written as module.yaml does. Lines
 * with "~" are what no module may leave behind and module.yaml does not list: constraints, rules, rights.
 */
export async function catalogue(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(`
    WITH c AS (
      SELECT c.*, format('%s.%s', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    ), p AS (
      SELECT p.*, format('%s.%s(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) AS name
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
    )
    SELECT CASE relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'view ' WHEN 'S' THEN 'sequence ' WHEN 'i' THEN 'index '
      WHEN 'r' THEN 'table ' ELSE '~relation ' || relkind::text || ' ' END || name AS line FROM c
    WHERE NOT (relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
      AND NOT (relkind = 'i' AND EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')))
    UNION ALL SELECT 'function ' || name FROM p
    UNION ALL SELECT 'trigger ' || tgname || ' on ' || c.name FROM pg_trigger t JOIN c ON c.oid = t.tgrelid WHERE NOT tgisinternal
    UNION ALL SELECT 'policy ' || polname || ' on ' || c.name FROM pg_policy JOIN c ON c.oid = polrelid
    UNION ALL SELECT 'type ' || t.oid::regtype FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
      WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' AND t.typelem = 0
        AND (t.typrelid = 0 OR EXISTS (SELECT FROM c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    UNION ALL SELECT '~system trigger ' || tgfoid::regproc || ' on ' || c.name || ' ' || count(*)
      FROM pg_trigger t JOIN c ON c.oid = t.tgrelid WHERE tgisinternal GROUP BY tgfoid, c.name
    UNION ALL SELECT '~constraint ' || conname || ' on ' || c.name FROM pg_constraint JOIN c ON c.oid = conrelid
    UNION ALL SELECT '~rule ' || rulename || ' on ' || c.name FROM pg_rewrite JOIN c ON c.oid = ev_class
    UNION ALL SELECT '~rights ' || c.name || ' ' || (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(relacl) a) FROM c
    UNION ALL SELECT '~rights ' || p.name || ' ' || (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(proacl) a) FROM p
    UNION ALL SELECT '~column rights ' || c.name || '.' || attname || attacl::text FROM pg_attribute JOIN c ON c.oid = attrelid
    UNION ALL SELECT '~schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
    UNION ALL SELECT '~default rights ' || defaclnamespace || ' ' || defaclobjtype::text || ' ' || defaclacl::text FROM pg_default_acl
    UNION ALL SELECT '~event trigger ' || evtname FROM pg_event_trigger
    UNION ALL SELECT '~extension ' || extname FROM pg_extension
    UNION ALL SELECT '~publication ' || pubname FROM pg_publication
    UNION ALL SELECT '~comment ' || classoid::regclass || ' ' || objoid || ' ' || objsubid FROM pg_description WHERE objoid >= 16384`);
  return rows.flatMap(({ line }) => (line ? [line] : [])).sort();
}

/** Runs a test on a fresh v6 with modules applied; the client is guardian_migrator, the owner. */
export function withModules<T>(
  major: Major,
  names: readonly string[],
  test: (client: Client, db: V6) => Promise<T>,
): Promise<T> {
  return withV6(major, async (db) => {
    const client = await db.connect();
    for (const name of names) await applyModule(client, name);
    return test(client, db);
  });
}

/** What the server said when it refused; fails if it did not. */
export async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const outcome = await work.then(
    () => undefined,
    (err: unknown) => err as { code: string; message: string },
  );
  if (!outcome) throw new Error("expected the server to refuse, but it did not");
  return { code: outcome.code, message: outcome.message };
}

/** First row, first column of a query. */
export async function value<T = unknown>(client: Client, text: string, values: unknown[] = []): Promise<T> {
  const { rows } = await client.query<Record<string, T>>(text, values);
  const [row] = rows;
  if (!row) throw new Error("expected a row, but there is none");
  return Object.values(row)[0] as T;
}

/**
 * The tests that every module has: up, verify, down, nothing left, up again; module.yaml lists all it makes; verify.sql
 * names each planted defect.
 *
 * @param defects what is done by hand → a part of verify.sql's message
 */
export function describeLifecycle(name: string, defects: Record<string, RegExp>): void {
  for (const major of [15, 17, 18] as const) {
    it(`goes up, down without a trace, and up again on PostgreSQL ${major}`, async () => {
      await withModules(major, manifest(name).requires, async (client) => {
        const before = await catalogue(client);
        await applyModule(client, name);
        const made = (await catalogue(client)).filter((line) => !before.includes(line) && !line.startsWith("~"));
        const listed = Object.entries(manifest(name).objects).flatMap(([kind, ids]) =>
          ids.map((id) => `${kind} ${id}`),
        );
        expect(made, "module.yaml lists what the module makes").to.deep.equal(listed.sort());
        await verifyModule(client, name);
        await undoModule(client, name);
        expect(await catalogue(client)).to.deep.equal(before);
        await applyModule(client, name);
      });
    });
  }

  it("is verified, and every planted defect is named", async () => {
    await withModules(15, [...manifest(name).requires, name], async (client) => {
      for (const [sql, message] of Object.entries(defects)) {
        await client.query("BEGIN");
        await client.query(sql);
        const found = await refusal(client.query(read(name, "verify.sql")));
        await client.query("ROLLBACK");
        expect(found.code, sql).to.equal("GM001");
        expect(found.message, sql).to.match(message);
      }
      await verifyModule(client, name);
    });
  });
}
