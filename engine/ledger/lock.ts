import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError, isPostgres } from "../base/errors";
import { type Askable, first } from "../base/sql";
import { endPrepared, isPrepared, preparedText } from "../connect/prepared";
import { stackOf } from "./identity";
import { ledgerSchema } from "./schema";

/** The two halves of the advisory lock's key (PostgreSQL manual, 13.3.5): "GUAR" in ASCII, and which lock. */
const lockClass = 0x47554152;
const lockObject = 1;

/** Who holds the lock of this database. */
interface Holder {
  pid: number;
  /** Null where this role may not see it. */
  backendStart: string | null;
  application: string;
  user: string;
  /** Seconds since its backend began; null where this role may not see it. */
  age: number | null;
  /** True while a statement runs. */
  active: boolean | null;
  /** Milliseconds since its last sign of life: a statement began or ended. Null where this role may not see it. */
  silent: number | null;
}

export interface LockOptions {
  /** The operator's own stack: only its own dead predecessor may be ended. */
  stack: string;
  /** How long to wait for a predecessor that is going, in milliseconds. */
  patience: number;
  /** After so many milliseconds without a sign of life the lock may be taken from its holder; see lease.ts. */
  lease: number;
  signal: AbortSignal;
  /** @param holder who is waited for */
  onWait: (holder: string, waitedSeconds: number) => void;
}

/**
 * Takes the one lock of this database, for one write. A predecessor of the same stack is ended, by the pid that its ledger
 * row names, when it is dead; one that is alive, and anyone else, is left alone.
 * @throws GuardianError naming the holder
 */
export async function takeLock(db: Askable, options: LockOptions): Promise<void> {
  const began = Date.now();
  // Another that came to hold it meanwhile was told nothing.
  let ended: Pick<Holder, "pid" | "backendStart"> | undefined;
  for (;;) {
    options.signal.throwIfAborted();
    const holder = await tryLock(db);
    if (holder === true) return;
    const waited = Date.now() - began;
    const prepared = holder ? undefined : await readPrepared(db);
    const who = holder ? describeHolder(holder) : prepared?.who;
    if (who !== undefined) options.onWait(who, Math.round(waited / 1000));
    if (prepared && waited >= options.patience) throw refusedByPrepared(prepared);
    const dead = holder !== undefined && isDead(holder, waited, options);
    const told = holder !== undefined && ended?.pid === holder.pid && ended.backendStart === holder.backendStart;
    if (holder && !told && (dead || waited >= options.patience)) {
      const ours = await isPredecessor(db, holder, options.stack);
      if (ours && dead) {
        await endHolder(db, holder);
        ended = holder;
      } else if (waited >= options.patience)
        throw refused(holder, ours ? "it is alive" : "it is not a dead predecessor of this stack");
    } else if (holder && waited >= options.patience + 10_000) {
      throw refused(holder, "it was told to end, and still holds the lock");
    }
    await sleep(Math.min(250, options.patience / 4 + 10), undefined, { signal: options.signal });
  }
}

/**
 * Between two statements a holder is dead when its lease is over. In the middle of one it cannot show that it lives, so
 * that it has all of our patience besides, and only the statement that ran all this time speaks against it: whoever
 * began another one meanwhile is busy. What remains: one that is alive, but in a single statement for longer than lease
 * and patience, cannot be told from one whose operator is gone, and is ended; its transaction is rolled back.
 */
function isDead({ active, silent }: Holder, waited: number, { patience, lease }: LockOptions): boolean {
  if (active === null || silent === null) return false;
  return active ? waited >= patience && silent >= Math.max(patience, lease) : silent >= lease;
}

/** Takes the lock, if it is free. @returns true, or who holds it; undefined if he let go meanwhile */
export async function tryLock(db: Askable): Promise<true | Holder | undefined> {
  const got = await first<{ got: boolean }>(db, "SELECT pg_catalog.pg_try_advisory_lock($1, $2) AS got", [
    lockClass,
    lockObject,
  ]);
  return got?.got === true ? true : readHolder(db);
}

/** SQL: whether the row `l` of pg_locks is the lock of this database, held. */
const isOurs = `l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())`;

/** Reads which session holds the lock. */
async function readHolder(db: Askable): Promise<Holder | undefined> {
  return first<Holder>(
    db,
    `SELECT a.pid, a.backend_start::text AS "backendStart", a.application_name AS application, a.usename AS user,
            extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::int AS age,
            a.state = 'active' AS active,
            (extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change) * 1000)::float8 AS silent
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE ${isOurs}`,
    [lockClass, lockObject],
  );
}

/** A prepared transaction, which has no session any more. */
interface Prepared {
  gid: string;
  who: string;
}

/** Reads which prepared transaction holds the lock: one that had taken the key by pg_advisory_xact_lock keeps it. */
async function readPrepared(db: Askable): Promise<Prepared | undefined> {
  return first<Prepared>(
    db,
    `SELECT p.gid, ${preparedText} AS who
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_prepared_xacts p ON ${isPrepared("l")} WHERE ${isOurs}`,
    [lockClass, lockObject],
  );
}

async function isPredecessor(db: Askable, holder: Holder, stack: string): Promise<boolean> {
  // Pid and start name a backend for good. Whatever it did last for this stack, between two steps too, makes it one of ours.
  const row = await first<{ urn: string }>(
    db,
    `SELECT urn FROM ${ledgerSchema}.step WHERE pid = $1 AND backend_start = $2::timestamptz ORDER BY id DESC LIMIT 1`,
    [holder.pid, holder.backendStart],
  ).catch(() => undefined);
  return row !== undefined && stackOf(row.urn) === stack;
}

async function endHolder(db: Askable, holder: Holder): Promise<void> {
  await db.query("SELECT pg_catalog.pg_terminate_backend($1)", [holder.pid]).catch((err: unknown) => {
    if (!isPostgres(err)) throw err;
    throw refused(holder, "this role may not end it");
  });
}

/** One line that says who. */
export function describeHolder(holder: Holder): string {
  return `${holder.application || "an unnamed session"} (pid ${holder.pid}, user ${holder.user}${holder.age === null ? "" : `, for ${holder.age} s`})`;
}

function refused(holder: Holder, why: string): GuardianError {
  return new GuardianError("migration-locked", {
    what: `another operation holds the migration's lock on this database, and ${why}`,
    where: describeHolder(holder),
    todo: [
      "wait until it is through, then run this again",
      `if nobody runs it any more: SELECT pg_terminate_backend(${holder.pid});`,
    ],
  });
}

function refusedByPrepared({ gid, who }: Prepared): GuardianError {
  return new GuardianError("migration-locked", {
    what: "a prepared transaction holds the migration's lock on this database",
    where: who,
    todo: endPrepared(gid),
  });
}
