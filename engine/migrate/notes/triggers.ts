import { escapeIdentifier, escapeLiteral } from "pg";
import { textSettings } from "../../connect/session-setup";
import type { FencedWriter } from "../../database";
import { followFunction, followFunctions, forgetSql, noteSql } from "../../ledger/changes";
import { isPlanned } from "../../ledger/ranges";
import { detailOf, readStep, setStep } from "../../ledger/steps";
import { withV6Locks } from "../../module/v6-locks";
import { hash } from "../../base/hash";
import { quoteName, rows, type Queryable } from "../../base/sql";
import { followed, type Follow } from "../definition/migration";
import type { Mapped } from "../definition/source";

/*
 * While a migration runs, triggers on the v6 tables that its source reads note the keys of rows that change: one row in
 * the ledger for each, and nothing that could refuse what v6 writes. CREATE TRIGGER waits for every writer of the table,
 * so that a row is either seen by the plan made afterwards or noted.
 */

/** A migration's name is all that its triggers need. */
interface Named {
  name: string;
}

const kinds = ["rows", "columns", "truncate"] as const;
const trigger = (it: Named, kind: (typeof kinds)[number]): string =>
  escapeIdentifier(`guardian_follow_${it.name}_${kind}`);

/**
 * @param any true for tables that have some of the triggers, else those that have all
 * @returns the tables; of a partitioned one not its partitions, whose triggers come and go with it
 */
async function followedNow(db: Queryable, it: Named, any: boolean): Promise<string[]> {
  const names = kinds.map((kind) => trigger(it, kind).replaceAll('"', ""));
  const found = await rows<{ name: string }>(
    db,
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_catalog.pg_trigger t
     JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE t.tgname = ANY ($1) AND t.tgparentid = 0 AND ($3 OR t.tgenabled IN ('O', 'A')) GROUP BY 1 HAVING count(*) = $2 OR $3 ORDER BY 1`,
    [names, kinds.length, any],
  );
  return found.map((row) => row.name);
}

/**
 * What the triggers are: the columns that they watch, and the catalogue's row of each, of those on partitions too. Whoever switches
 * one off and on again, or makes it anew, leaves another version of its row (xmin), though it looks the same.
 */
async function markOf(db: Queryable, it: Mapped): Promise<string> {
  const names = kinds.map((kind) => trigger(it, kind).replaceAll('"', ""));
  const there = await rows<object>(
    db,
    `SELECT t.tgrelid::text, t.oid::text, t.xmin::text, t.tgenabled::text FROM pg_catalog.pg_trigger t
     WHERE t.tgname = ANY ($1) ORDER BY t.oid`,
    [names],
  );
  return hash([it.source.follows, there]);
}

/**
 * @param urn of the migration, whose ledger row has the mark of its triggers
 * @returns whether every v6 table that the source reads has all the triggers, they fire, and have fired ever since they were made
 */
export async function isFollowed(db: Queryable, it: Mapped, urn: string): Promise<boolean> {
  const there = await followedNow(db, it, false);
  if (!followed(it.source.follows).every((table) => there.includes(table))) return false;
  return detailOf(await readStep(db, urn), "DataMigration").followed === (await markOf(db, it));
}

/** Notes the triggers' mark, in the transaction that makes them. */
async function noteMark(db: Queryable, it: Mapped, urn: string): Promise<void> {
  const step = await readStep(db, urn);
  if (step?.kind !== "DataMigration") throw new Error("no data migration of this URN is under way");
  await setStep(db, step, { state: "running", detail: { followed: await markOf(db, it) } });
}

/**
 * Makes the triggers that are not there. Where a plan is there already, somebody took them away since, or switched them off for a
 * while: what v6 changed meanwhile is not known, and in the same transaction every key is noted.
 * @throws GuardianError naming who holds the tables
 */
export async function startFollowing(fenced: FencedWriter, deadline: number, it: Mapped): Promise<void> {
  const tables = followed(it.source.follows);
  const { urn } = fenced.options;
  if (await isFollowed(fenced.writer, it, urn)) return;
  await stopFollowing(fenced, deadline, it);
  const functions = it.source.follows.map((follow, at) => functionSql(it, follow, at)).join("\n");
  const owned = await ownedOf(fenced.writer, tables);
  const triggers = it.source.follows
    .map((follow, at) => triggerSql(it, follow, at, owned.includes(follow.table)))
    .join("\n");
  const all = noteSql(it.name, "NULL", isPlanned(urn));
  await withV6Locks(fenced, deadline, {
    relations: tables,
    mode: "SHARE ROW EXCLUSIVE",
    own: [],
    before: (db) => db.script(functions),
    locked: async (db) => {
      await db.script(`${triggers}\n${all}`);
      await noteMark(db, it, urn);
    },
  });
}

/**
 * Takes the triggers and their functions away; for a transaction that has the tables locked. A trigger may be dropped by
 * the table's owner only, which on many servers the operator is not; with its function it goes all the same.
 */
export async function dropFunctions(db: Queryable, it: Named): Promise<void> {
  const drops = (await followFunctions(db, it.name)).map((name) => `DROP FUNCTION ${name} CASCADE;`);
  await db.script([...drops, forgetSql(it.name)].join("\n"));
}

/** Takes the triggers away, wherever they are; for a rollback. */
export async function stopFollowing(fenced: FencedWriter, deadline: number, it: Named): Promise<void> {
  const tables = await followedNow(fenced.writer, it, true);
  await withV6Locks(fenced, deadline, {
    relations: tables,
    mode: "ACCESS EXCLUSIVE",
    own: [],
    before: () => Promise.resolve(),
    locked: (db) => dropFunctions(db, it),
  });
}

function functionSql(it: Named, follow: Follow, at: number): string {
  const key = (row: string): string =>
    `ARRAY[${follow.key.map((c) => `${row}.${escapeIdentifier(c)}::text`).join(", ")}]`;
  // A row with a NULL in its key joins nothing: it is no row of the source.
  const whole = (row: string): string =>
    `pg_catalog.num_nulls(${follow.key.map((c) => `${row}.${escapeIdentifier(c)}`).join(", ")}) = 0`;
  const note = (value: string, where = "true"): string => noteSql(it.name, value, where);
  const settings = Object.entries(textSettings).map(([name, value]) => `SET ${name} = ${escapeLiteral(value)}`);
  return `CREATE OR REPLACE FUNCTION ${followFunction(it.name, at)}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    ${settings.join(" ")} AS $follow$
    BEGIN
      IF TG_OP = 'TRUNCATE' THEN ${note("NULL")} RETURN NULL; END IF;
      IF TG_OP IN ('UPDATE', 'DELETE') THEN ${note(key("OLD"), whole("OLD"))} END IF;
      IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND ${key("OLD")} IS DISTINCT FROM ${key("NEW")}) THEN ${note(key("NEW"), whole("NEW"))} END IF;
      RETURN NULL;
    END $follow$;
    REVOKE ALL ON FUNCTION ${followFunction(it.name, at)}() FROM PUBLIC;`;
}

/** @returns those of the tables whose owner the operator is, or may act as: only he may say when a trigger fires */
async function ownedOf(db: Queryable, tables: readonly string[]): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    `SELECT u.name FROM unnest($1::text[], $2::text[]) u(name, quoted)
     JOIN pg_catalog.pg_class c ON c.oid = u.quoted::regclass AND pg_catalog.pg_has_role(c.relowner, 'USAGE')`,
    [tables, tables.map(quoteName)],
  );
  return found.map((row) => row.name);
}

/**
 * A login changes none of the columns and costs nothing but the comparison.
 * @param always also for who writes with session_replication_role = replica: a subscription, a bulk load
 */
function triggerSql(it: Named, follow: Follow, at: number, always: boolean): string {
  const table = quoteName(follow.table);
  const columns = [...new Set([...follow.key, ...follow.columns])].map((column) => escapeIdentifier(column));
  const row = (which: string): string => `ROW(${columns.map((column) => `${which}.${column}`).join(", ")})`;
  const call = `EXECUTE FUNCTION ${followFunction(it.name, at)}()`;
  return [
    `CREATE TRIGGER ${trigger(it, "rows")} AFTER INSERT OR DELETE ON ${table} FOR EACH ROW ${call};`,
    `CREATE TRIGGER ${trigger(it, "columns")} AFTER UPDATE ON ${table} FOR EACH ROW
       WHEN (${row("OLD")} IS DISTINCT FROM ${row("NEW")}) ${call};`,
    `CREATE TRIGGER ${trigger(it, "truncate")} AFTER TRUNCATE ON ${table} FOR EACH STATEMENT ${call};`,
    ...(always ? kinds.map((kind) => `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${trigger(it, kind)};`) : []),
  ].join("\n");
}
