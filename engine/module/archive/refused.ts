import { isPostgres, isRowError, sqlstateOf } from "../../base/errors";
import { plainTypes } from "../../base/names";
import { first, quoteName, rows, type Queryable } from "../../base/sql";
import { readWaiting, type Waiting } from "../../ledger/archived";
import { addReject, addRejects, countRejects, isRejected, unreached } from "../../ledger/rejects";
import { foreignKeys, isLive, matches, type ForeignKey } from "./references";

/*
 * A row that its table refuses stays in the archive: its key and what refused it are noted, it is tried no more in this run,
 * and whatever refers to it waits with it.
 */

/** How archived rows are named. */
export interface Named {
  /** The archived table, quoted. */
  archived: string;
  /** As the ledger notes whose rejects they are. */
  urn: string;
  /** SQL for the key of a row under an alias, text[]. */
  key(alias: string): string;
}

/**
 * Rows are named by their primary key where it is of uuids and whole numbers, which say nothing of a person; else by
 * their place in the archived table (ctid).
 */
export async function namedRows(db: Queryable, waiting: Waiting): Promise<Named> {
  const archived = quoteName(waiting.archivedAs);
  const key = await rows<{ name: string; plain: boolean }>(
    db,
    `SELECT pg_catalog.quote_ident(a.attname) AS name,
            a.atttypid = ANY (${plainTypes}) AS plain
     FROM pg_catalog.pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY u(num, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num
     WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY u.place`,
    [archived],
  );
  const names = key.length > 0 && key.every(({ plain }) => plain) ? key.map(({ name }) => name) : ["ctid"];
  return {
    archived,
    urn: waiting.archivedAs,
    key: (alias) => `ARRAY[${names.map((name) => `${alias}.${name}::text`).join(", ")}]`,
  };
}

/**
 * Begins, or goes on with what a run that was cut off has noted: rows that refer to one which waits in the archive are noted,
 * since they would lose what they refer to.
 * @returns how many are noted, and how many of them were before
 */
export async function beginRefused(db: Queryable, waiting: Waiting): Promise<{ noted: number; before: number }> {
  await db.query("SET LOCAL row_security = off");
  const before = await countRejects(db, waiting.archivedAs);
  const rows = await namedRows(db, waiting);
  let noted = before;
  const others = (await readWaiting(db)).filter(({ there, archivedAs }) => there && archivedAs !== waiting.archivedAs);
  for (const key of await foreignKeys(db, quoteName(waiting.original), rows.archived)) {
    for (const other of others.filter(({ original }) => original === key.target)) {
      noted += await noteReferring(
        db,
        rows,
        key,
        `EXISTS (SELECT FROM ${quoteName(other.archivedAs)} p WHERE ${matches(key, "m", "p")})
         AND NOT EXISTS (SELECT FROM ${key.to} r WHERE ${matches(key, "m", "r")})`,
      );
    }
  }
  return { noted, before };
}

/** Notes rows that refer to a refused row of their own table which no live one stands for. @returns how many */
export async function noteOwnReferring(db: Queryable, of: Named, keys: readonly ForeignKey[]): Promise<number> {
  let noted = 0;
  for (const key of keys.filter((one) => one.self)) {
    const parent = `EXISTS (SELECT FROM ${of.archived} p WHERE ${matches(key, "m", "p")} AND ${isRejected(of.urn, of.key("p"))} AND NOT ${isLive(key, "p")})`;
    noted += await noteReferring(db, of, key, parent);
  }
  return noted;
}

function noteReferring(db: Queryable, of: Named, key: ForeignKey, condition: string): Promise<number> {
  // So the table would refuse it.
  const why = { urn: of.urn, sqlstate: unreached, object: key.name };
  return addRejects(db, why, `SELECT ${of.key("m")} FROM ${of.archived} m WHERE ${condition}`);
}

/** Somebody wrote or deleted what it refers to at the same time: the next look sees it. */
const isRace = (err: unknown): boolean => /^(23503|23505|23P01)$/.test(sqlstateOf(err) ?? "");

/**
 * Moves rows of the archive in the open transaction. Where a row is at fault it is found by halving, and noted; all others
 * are moved.
 * @param ctids their places
 * @param move may be tried several times, each in a savepoint; what it returns is called if it did
 * @returns how many rows were noted
 */
export async function halving(
  db: Queryable,
  of: Named,
  ctids: readonly string[],
  move: (ctids: readonly string[]) => Promise<() => void>,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    const done = await tried(db, () => move(ctids));
    if (typeof done === "function") {
      done();
      return 0;
    }
    const [one] = ctids;
    if (one !== undefined && ctids.length === 1) {
      if (isRace(done.failed) && tries < 3) continue;
      return note(db, of, one, done.failed);
    }
    const half = Math.ceil(ctids.length / 2);
    const left = await halving(db, of, ctids.slice(0, half), move);
    return left + (await halving(db, of, ctids.slice(half), move));
  }
}

/**
 * Which of rows that refer to each other in a circle are at fault: each is tried alone, which fails for all of them, but for
 * these by something else than their missing counterpart. All are noted if none is.
 * @param move is undone in every case
 * @returns how many rows were noted
 */
export async function blameCircle(
  db: Queryable,
  of: Named,
  ctids: readonly string[],
  move: (ctids: readonly string[]) => Promise<void>,
): Promise<number> {
  const failures: { at: string; err: unknown }[] = [];
  for (const at of ctids) {
    const done = await tried(db, () => move([at]), true);
    if (done && "failed" in done) failures.push({ at, err: done.failed });
  }
  const own = failures.filter(({ err }) => sqlstateOf(err) !== "23503");
  let noted = 0;
  for (const { at, err } of own.length > 0 ? own : failures) noted += await note(db, of, at, err);
  return noted;
}

/** Work in a savepoint: what it gave, or the error that a row is to blame for; then, or if asked, nothing of it is left. */
async function tried<T>(db: Queryable, work: () => Promise<T>, undo = false): Promise<T | { failed: unknown }> {
  await db.query("SAVEPOINT piece");
  try {
    const done = await work();
    // What is deferred fails here, where it is known whose it is.
    await db.query("SET CONSTRAINTS ALL IMMEDIATE");
    if (undo) await db.query("ROLLBACK TO SAVEPOINT piece");
    await db.query("RELEASE SAVEPOINT piece");
    return done;
  } catch (err) {
    if (!isRowError(err)) throw err;
    await db.query("ROLLBACK TO SAVEPOINT piece");
    await db.query("RELEASE SAVEPOINT piece");
    return { failed: err };
  }
}

async function note(db: Queryable, of: Named, ctid: string, err: unknown): Promise<number> {
  const row = await first<{ key: string[] }>(
    db,
    `SELECT ${of.key("a")} AS key FROM ${of.archived} a WHERE a.ctid = $1::tid`,
    [ctid],
  );
  if (!row) return 0;
  await addReject(db, of.urn, row.key, sqlstateOf(err) ?? "XX000", await blamed(db, err));
  return 1;
}

/**
 * What refused a row: a constraint, trigger or column. RAISE may put anything into these fields (PostgreSQL manual, 43.9.1);
 * of what it says only names are believed that the catalogue has.
 */
async function blamed(db: Queryable, err: unknown): Promise<string | null> {
  if (!isPostgres(err)) return null;
  const said = err.constraint ?? err.column;
  if (err.routine !== "exec_stmt_raise" || said === undefined) return said ?? null;
  const known = await rows<{ name: string }>(
    db,
    `SELECT n.name FROM unnest($3::text[]) WITH ORDINALITY n(name, place)
     WHERE EXISTS (SELECT FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace AND s.nspname = $1
       WHERE c.relname = $2 AND (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = n.name)
         OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.conname = n.name)
         OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = n.name)))
     ORDER BY n.place`,
    [err.schema, err.table, [err.constraint, err.column].filter((name) => name !== undefined)],
  );
  return known.length > 0 ? known.map(({ name }) => name).join(".") : null;
}
