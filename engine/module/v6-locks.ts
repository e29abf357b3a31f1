import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineParameters, WriteSession } from "../database";
import { GuardianError, isPostgres } from "../errors";
import { quoteName, rows, type Queryable } from "../sql";
import type { Node, Statement } from "./statements";

/** Work of one transaction that needs v6 tables for a moment. */
export interface LockedWork {
  /** v6 relations, in the fixed order in which they are locked. */
  relations: readonly string[];
  /** SHARE ROW EXCLUSIVE to make foreign keys and triggers, ACCESS EXCLUSIVE to drop them (PostgreSQL manual, 13.3.1). */
  mode: "SHARE ROW EXCLUSIVE" | "ACCESS EXCLUSIVE";
  /** What needs no v6 lock; done first. */
  before: (db: Queryable) => Promise<void>;
  /** What is done while v6 is locked. */
  locked: (db: Queryable) => Promise<void>;
  /** What ends the transaction: the ledger's rows. Still under the locks, and bounded with them. */
  after: (db: Queryable) => Promise<void>;
}

export interface LockTimes {
  tries: number;
  /** How long v6 was locked by the try that succeeded, in milliseconds. */
  heldMs: number;
}

/**
 * Runs one transaction so that no v6 table is stalled for long: the locks are asked for with a short lock_timeout, held
 * for a bounded time, and after a failed try the pause is at least 99 times what v6 suffered, so that a table is stalled
 * for less than 1 % of the time. The whole transaction is tried again until the time is up.
 * @throws GuardianError naming who holds the lock
 */
export async function withV6Locks(
  session: WriteSession,
  parameters: EngineParameters,
  deadline: number,
  work: LockedWork,
): Promise<LockTimes> {
  for (let tries = 1; ; tries++) {
    const times = { asked: 0, held: 0 };
    try {
      await session.transaction((db) => attempt(db, parameters, work, times));
      return { tries, heldMs: Math.round(times.held) };
    } catch (err) {
      if (!isContention(err)) throw err;
      const suffered = times.asked > 0 ? performance.now() - times.asked : 0;
      const pause = Math.max(parameters.pauseFloor, 99 * suffered) * (1 + Math.random());
      const holders = await readHolders(session, work.relations);
      if (Date.now() + pause > deadline) throw refused(work, holders, tries);
      session.options.onStatus(
        `try ${tries}: ${work.relations.join(", ")} ${holders || "is busy"}; again in ${(pause / 1000).toFixed(1)} s`,
      );
      await sleep(pause, undefined, { signal: session.options.signal });
    }
  }
}

async function attempt(
  db: Queryable,
  parameters: EngineParameters,
  work: LockedWork,
  times: { asked: number; held: number },
): Promise<void> {
  await db.query(`SET LOCAL lock_timeout = ${parameters.lockTimeout}`);
  await work.before(db);
  if (work.relations.length === 0) {
    await work.locked(db);
    await work.after(db);
    return;
  }
  times.asked = performance.now();
  for (const relation of work.relations) {
    await db.query(`LOCK TABLE ${quoteName(relation)} IN ${work.mode} MODE`);
  }
  const granted = performance.now();
  await db.query(`SET LOCAL statement_timeout = ${parameters.lockHold}`);
  await work.locked(db);
  await work.after(db);
  times.held = performance.now() - granted;
  if (times.held > parameters.lockHold) throw new HeldTooLong();
}

/** The work under the locks took longer than it may. */
class HeldTooLong extends Error {}

/** lock_not_available, query_canceled by statement_timeout, deadlock_detected (PostgreSQL manual, appendix A). */
function isContention(err: unknown): boolean {
  if (err instanceof HeldTooLong) return true;
  const code = err instanceof GuardianError ? err.sqlstate : isPostgres(err) ? err.code : undefined;
  return (
    code === "55P03" || code === "40P01" || (code === "57014" && (err as Error).message.includes("statement timeout"))
  );
}

async function readHolders(session: WriteSession, relations: readonly string[]): Promise<string> {
  const holders = await rows<{ who: string }>(
    session.writer,
    `SELECT DISTINCT pg_catalog.format('is held by %s (pid %s, user %s, %s for %s s)', coalesce(nullif(a.application_name, ''), 'a session'),
        a.pid, a.usename, a.state, extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::int) AS who
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.relation = ANY ($1::regclass[]) AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
       AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock', 'AccessShareLock', 'RowShareLock')
     LIMIT 3`,
    [relations.map(quoteName)],
  );
  return holders.map((holder) => holder.who).join("; ");
}

function refused(work: LockedWork, holders: string, tries: number): GuardianError {
  return new GuardianError({
    what: `v6 tables could not be locked ${work.mode} for a moment within this resource's timeout (${tries} tries)`,
    where: `${work.relations.join(", ")} ${holders}`,
    todo: [
      "run this again at a quieter time, or after the sessions named here have ended",
      "give the resource a longer timeout (customTimeouts)",
    ],
  });
}

/** Statements that lock a relation they name (views and functions only read their definition). */
const lockingKinds = new Set([
  "AlterTableStmt",
  "CreateTrigStmt",
  "CreateStmt",
  "IndexStmt",
  "DropStmt",
  "CreatePolicyStmt",
]);

/** @returns the index of the first statement that touches one of the relations, or the number of statements */
export function firstTouching(statements: readonly Statement[], relations: readonly string[]): number {
  const index = statements.findIndex((statement) => {
    const kind = Object.keys(statement.tree)[0] ?? "";
    return lockingKinds.has(kind) && relations.some((relation) => names(statement.tree, relation));
  });
  return index < 0 ? statements.length : index;
}

/** True if the tree holds a RangeVar of that relation. */
function names(node: Node, relation: string): boolean {
  if (Array.isArray(node)) return node.some((item) => names(item, relation));
  if (node === null || typeof node !== "object") return false;
  if (typeof node["relname"] === "string") {
    const schema = typeof node["schemaname"] === "string" ? node["schemaname"] : "public";
    if (`${schema}.${node["relname"]}` === relation) return true;
  }
  return Object.values(node).some((item) => names(item, relation));
}
