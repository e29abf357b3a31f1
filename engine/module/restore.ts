import { escapeIdentifier } from "pg";
import type { WriteSession } from "../database";
import { ledgerSchema } from "../ledger/schema";
import { setStep, type Step } from "../ledger/steps";
import { first, quoteName, rows, type Queryable } from "../sql";

/** A table that waits in the archive. */
export interface Waiting {
  applyId: string;
  original: string;
  archivedAs: string;
  subject: string | null;
  /** Rows when it was archived. */
  rows: string;
}

/** What became of archived rows. */
export interface Restored {
  restored: bigint;
  beaten: bigint;
  leftOut: bigint;
}

/** @returns the archived tables of one original that have not come back yet, oldest first */
export async function waitingFor(db: Queryable, originals: readonly string[]): Promise<Waiting[]> {
  return rows<Waiting>(
    db,
    `SELECT apply_id AS "applyId", original, archived_as AS "archivedAs", subject, rows FROM ${ledgerSchema}.archived
     WHERE original = ANY ($1) AND restored_at IS NULL ORDER BY pg_catalog.array_position($1, original), apply_id`,
    [originals],
  );
}

/** How long one batch may take, in milliseconds. */
const batchTarget = 500;

/**
 * Brings the rows of one archived table back, in batches of their own transactions: each takes rows out of the archive
 * and puts them into the table, so that a killed run goes on where it stopped and no row is there twice. A live row
 * wins. The archived table goes when every row is accounted for.
 */
export async function restoreTable(
  session: WriteSession,
  step: Step,
  waiting: Waiting,
  onRows: (done: bigint) => void,
): Promise<Restored> {
  const total: Restored = { restored: 0n, beaten: 0n, leftOut: 0n };
  let size = 2000;
  for (;;) {
    session.options.signal.throwIfAborted();
    const began = Date.now();
    const batch = await session.transaction((db) => moveBatch(db, waiting, size));
    total.restored += batch.restored;
    total.beaten += batch.beaten;
    total.leftOut += batch.leftOut;
    onRows(total.restored + total.beaten + total.leftOut);
    if (batch.taken === 0n) break;
    const took = Date.now() - began;
    size = Math.max(100, Math.min(50_000, Math.round((size * batchTarget) / Math.max(took, 1))));
  }
  await session.transaction(async (db) => {
    await raiseSequences(db, waiting.original);
    await db.query(`DROP TABLE ${quoteName(waiting.archivedAs)}`);
    // Rows that an erasure under v6 took out of the archive were left out too, by their subject's own wish.
    await db.query(
      `UPDATE ${ledgerSchema}.archived SET left_out = rows - restored - beaten, restored_at = pg_catalog.clock_timestamp()
       WHERE apply_id = $1 AND original = $2`,
      [waiting.applyId, waiting.original],
    );
    await setStep(db, step.id, { state: "done" });
  });
  return total;
}

interface ForeignKey {
  columns: string[];
  to: string;
  toColumns: string[];
  /** pg_constraint.confdeltype: a, r, c, n, d. */
  action: string;
}

async function moveBatch(db: Queryable, waiting: Waiting, size: number): Promise<Restored & { taken: bigint }> {
  const table = quoteName(waiting.original);
  const archived = quoteName(waiting.archivedAs);
  await db.query("SET LOCAL row_security = off");
  const columns = await commonColumns(db, table, archived);
  const keys = await foreignKeys(db, table);
  const triggers = await rows<{ name: string; state: string }>(
    db,
    "SELECT tgname AS name, tgenabled AS state FROM pg_catalog.pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgenabled <> 'D'",
    [table],
  );
  for (const trigger of triggers)
    await db.query(`ALTER TABLE ${table} DISABLE TRIGGER ${escapeIdentifier(trigger.name)}`);

  const kept = keys.filter((key) => key.action !== "n" && key.action !== "d").map((key) => exists(key));
  const nulled = new Map(
    keys
      .filter((key) => key.action === "n" || key.action === "d")
      .flatMap((key) => key.columns.map((column) => [column, exists(key)] as const)),
  );
  const list = columns.map((column) => escapeIdentifier(column)).join(", ");
  const select = columns.map((column) => {
    const there = nulled.get(column);
    return there ? `CASE WHEN ${there} THEN m.${escapeIdentifier(column)} END` : `m.${escapeIdentifier(column)}`;
  });
  const counts = await first<{ taken: string; fit: string; put: string }>(
    db,
    `WITH m AS MATERIALIZED (
       DELETE FROM ${archived} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${archived} LIMIT $1)) RETURNING ${list}
     ), fit AS MATERIALIZED (
       SELECT ${select.join(", ")} FROM m ${kept.length > 0 ? `WHERE ${kept.join(" AND ")}` : ""}
     ), put AS (
       INSERT INTO ${table} (${list}) OVERRIDING SYSTEM VALUE SELECT * FROM fit ON CONFLICT DO NOTHING RETURNING 1
     )
     SELECT (SELECT count(*) FROM m) AS taken, (SELECT count(*) FROM fit) AS fit, (SELECT count(*) FROM put) AS put`,
    [size],
  );
  for (const trigger of triggers) {
    const how = trigger.state === "A" ? "ENABLE ALWAYS" : trigger.state === "R" ? "ENABLE REPLICA" : "ENABLE";
    await db.query(`ALTER TABLE ${table} ${how} TRIGGER ${escapeIdentifier(trigger.name)}`);
  }
  const [taken, fit, put] = [BigInt(counts?.taken ?? 0), BigInt(counts?.fit ?? 0), BigInt(counts?.put ?? 0)];
  await db.query(
    `UPDATE ${ledgerSchema}.archived SET restored = restored + $3, beaten = beaten + $4, left_out = left_out + $5
     WHERE apply_id = $1 AND original = $2`,
    [waiting.applyId, waiting.original, put.toString(), (fit - put).toString(), (taken - fit).toString()],
  );
  return { taken, restored: put, beaten: fit - put, leftOut: taken - fit };
}

/** The referenced row is there, or nothing is referenced (MATCH SIMPLE; PostgreSQL manual, 5.5.5). */
function exists(key: ForeignKey): string {
  const nothing = key.columns.map((column) => `m.${escapeIdentifier(column)} IS NULL`).join(" OR ");
  const match = key.columns
    .map((column, i) => `r.${escapeIdentifier(key.toColumns[i] ?? "")} = m.${escapeIdentifier(column)}`)
    .join(" AND ");
  return `(${nothing} OR EXISTS (SELECT FROM ${key.to} r WHERE ${match}))`;
}

async function commonColumns(db: Queryable, table: string, archived: string): Promise<string[]> {
  const found = await rows<{ name: string }>(
    db,
    `SELECT l.attname AS name FROM pg_catalog.pg_attribute l JOIN pg_catalog.pg_attribute a ON a.attname = l.attname
     WHERE l.attrelid = $1::regclass AND a.attrelid = $2::regclass AND l.attnum > 0 AND a.attnum > 0
       AND NOT l.attisdropped AND NOT a.attisdropped AND l.attgenerated = '' ORDER BY l.attnum`,
    [table, archived],
  );
  return found.map((row) => row.name);
}

async function foreignKeys(db: Queryable, table: string): Promise<ForeignKey[]> {
  return rows<ForeignKey>(
    db,
    `SELECT k.confdeltype AS action, pg_catalog.format('%I.%I', n.nspname, c.relname) AS to,
            ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(num, i)
                  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.i) AS columns,
            ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(num, i)
                  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.i) AS "toColumns"
     FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conrelid = $1::regclass AND k.confrelid <> k.conrelid`,
    [table],
  );
}

/** Moves each sequence of the table past the largest value that came back. */
async function raiseSequences(db: Queryable, original: string): Promise<void> {
  const table = quoteName(original);
  const owned = await rows<{ column: string; sequence: string }>(
    db,
    `SELECT a.attname AS column, pg_catalog.pg_get_serial_sequence($1, a.attname) AS sequence
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
       AND pg_catalog.pg_get_serial_sequence($1, a.attname) IS NOT NULL`,
    [table],
  );
  for (const { column, sequence } of owned) {
    await db.query(
      `SELECT pg_catalog.setval($1::regclass, greatest((SELECT max(${escapeIdentifier(column)}) FROM ${table}),
              (SELECT last_value FROM ${sequence})), true) WHERE EXISTS (SELECT FROM ${table})`,
      [sequence],
    );
  }
}
