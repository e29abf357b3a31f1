import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Client, QueryResult, QueryResultRow } from "pg";
import { parse } from "yaml";
import { joined, readUp } from "../../engine/module/files/up-files";
import { withEngine, type Engine, type EngineOptions } from "../engine/module/harness";
import { long } from "./long";
import { asRole, type V6 } from "./postgres";

/** What module.yaml says, as far as the tests need it. */
interface Manifest {
  requires: string[];
  objects: Record<string, string[]>;
}

const folder = join(__dirname, "..", "..", "sql");
const read = (name: string, file: string): string => readFileSync(join(folder, name, file), "utf8");
const manifest = (name: string): Manifest => parse(read(name, "module.yaml")) as Manifest;

/** What a module does, as one script. */
export const upOf = (name: string): string => joined(readUp(join(folder, name), (file) => `sql/${name}/${file}`));

/** Runs verify.sql as a refresh does, read-only. Rejects with SQLSTATE GM001 where something is amiss. */
export function verifyModule(client: Client, name: string): Promise<void> {
  return inTransaction(client, "READ ONLY", read(name, "verify.sql"));
}

/** Runs a script in one transaction, which is rolled back and the error rethrown when it fails. */
export async function inTransaction(client: Client, mode: "READ ONLY" | "READ WRITE", sql: string): Promise<void> {
  await client.query(`BEGIN ${mode}`);
  try {
    await client.query(sql);
    await client.query("COMMIT");
  } catch (err) {
    await client.query("ROLLBACK");
    throw err;
  }
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

/** Runs a test on a fresh v6 to which the engine applied modules; the client is guardian_migrator, the owner. */
export function withModules<T>(
  names: readonly string[],
  test: (client: Client, db: V6, engine: Engine) => Promise<T>,
  options: EngineOptions = {},
): Promise<T> {
  return withEngine(async (engine, db) => test(await db.connect(), db, engine), { ...options, modules: names });
}

/**
 * Declares tests as `it` does, each on a fresh v6 to which the engine applied these modules; the client is
 * guardian_migrator, the owner.
 */
export const testOn =
  (names: readonly string[], options: EngineOptions = {}) =>
  (title: string, test: (client: Client, db: V6, engine: Engine) => Promise<unknown>): Mocha.Test =>
    it(title, () => withModules(names, test, options));

/** What the server said when it refused; fails if it did not. */
export async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const outcome = await work.then(
    () => undefined,
    (err: unknown) => err as { code: string; message: string },
  );
  if (!outcome) throw new Error("expected the server to refuse, but it did not");
  return { code: outcome.code, message: outcome.message };
}

/** Fails unless the server refuses with that SQLSTATE. @param what is tried, for the message */
export async function expectRefusal(code: string, work: Promise<unknown>, what?: string): Promise<void> {
  expect((await refusal(work)).code, what).to.equal(code);
}

/** Where the rows of a table wait after a rollback: `guardian_archive.<table>__<apply id>`. */
export function archived(client: Client, table: string): Promise<string> {
  const text = "SELECT archived_as FROM guardian_migration.archived WHERE original = $1 ORDER BY apply_id DESC LIMIT 1";
  return value(client, text, [`public.${table}`]);
}

/** Makes this session one that runs a batch of the ledger, as a data migration's is. */
export async function openBatch(client: Client, id: string): Promise<void> {
  await client.query(
    `INSERT INTO guardian_migration.batch (id, urn, step_id, target, epoch)
     SELECT $1, 'urn', max(id), 'public.things', 0 FROM guardian_migration.step`,
    [id],
  );
}

/** First row, first column of a query. */
export async function value<T = unknown>(client: Client, text: string, values: unknown[] = []): Promise<T> {
  const { rows } = await client.query<Record<string, T>>(text, values);
  const [row] = rows;
  if (!row) throw new Error("expected a row, but there is none");
  return Object.values(row)[0] as T;
}

/** How many rows: `count(client, "public.things WHERE id = $1", [id])`. */
export const count = async (client: Client, from: string, values: unknown[] = []): Promise<number> =>
  Number(await value(client, `SELECT count(*) FROM ${from}`, values));

/** The column "line" of a query's rows. */
export const lines = async (client: Client, text: string, values: unknown[] = []): Promise<string[]> =>
  (await client.query<{ line: string }>(text, values)).rows.map((row) => row.line);

/** The first four accounts of v6. */
export const accounts = (client: Client): Promise<[string, string, string, string]> =>
  value(client, "SELECT array_agg(id::text ORDER BY id) FROM (SELECT id FROM auth.users ORDER BY id LIMIT 4) AS u");

/** A query as an API role, with the token of a user. */
export const queryAs = <R extends QueryResultRow>(
  client: Client,
  role: string,
  user: string | null,
  text: string,
  values: unknown[] = [],
): Promise<QueryResult<R>> => asRole(client, role, user, (c) => c.query<R>(text, values));

/** Deletes an account as the login service does; the client is the superuser's. */
export const deleteAccount = (admin: Client, id: string): Promise<QueryResult> =>
  queryAs(admin, "supabase_auth_admin", null, "DELETE FROM auth.users WHERE id = $1", [id]);

/** One value, asked as an API role. */
export const valueAs = <T = string>(
  client: Client,
  role: string,
  user: string | null,
  text: string,
  values: unknown[] = [],
): Promise<T> => asRole(client, role, user, (c) => value<T>(c, text, values));

/** One value, asked as a logged-in user. */
export const as = <T = string>(client: Client, user: string | null, text: string, values: unknown[] = []): Promise<T> =>
  valueAs<T>(client, "authenticated", user, text, values);

/** One value, asked as the server side. */
export const service = <T = string>(client: Client, text: string, values: unknown[] = []): Promise<T> =>
  valueAs<T>(client, "service_role", null, text, values);

/**
 * The tests that every module has: up, verify, down, nothing left, up again; module.yaml lists all it makes; verify.sql
 * names each planted defect.
 *
 * @param defects what is done by hand → a part of verify.sql's message
 */
export function describeLifecycle(name: string, defects: Record<string, RegExp>): void {
  // All of them together do so in every_module.test.ts.
  const alone = name === "004_enhanced_consent" ? it : long;
  alone("goes up, down without a trace, and up again", async () => {
    await withModules(manifest(name).requires, async (client, _, engine) => {
      const before = await catalogue(client);
      await engine.applyReal(name);
      const made = (await catalogue(client)).filter((line) => !before.includes(line) && !line.startsWith("~"));
      const listed = Object.entries(manifest(name).objects).flatMap(([kind, ids]) => ids.map((id) => `${kind} ${id}`));
      expect(made, "module.yaml lists what the module makes").to.deep.equal(listed.sort());
      await verifyModule(client, name);
      await engine.undo(name);
      expect(await catalogue(client)).to.deep.equal(before);
      await engine.applyReal(name);
    });
  });

  it("is verified, and every planted defect is named", async () => {
    await withModules([...manifest(name).requires, name], async (client) => {
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
