import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { FencedWriter } from "../database";
import type { EngineParameters } from "../parameters";
import { GuardianError, sqlstateOf } from "../base/errors";
import type { Queryable } from "../base/sql";
import { readHolders, type LockMode } from "./v6/holders";
import { lockTargets } from "./v6/relations";
import { refuseStray } from "./v6/stray";

/** Work of one transaction that needs v6 tables for a moment. */
export interface LockedWork {
  /** v6 relations, in the order in which the first try locks them; every second one goes the other way round. */
  relations: readonly string[];
  mode: LockMode;
  /** Objects of ours, as module.yaml lists them: whatever else is locked is v6. */
  own: readonly string[];
  /** The SQL of the module that runs: tables that it names are looked at wherever they are. */
  sql?: string;
  /** What is committed by itself before each try: its row locks are in nobody's way while the tables are waited for. */
  ahead?: () => Promise<void>;
  /** True where what is done first locks tables of ours: deletions in v6 that cascade to them wait for us from then on. */
  early?: boolean;
  /** What needs no v6 lock; done first. */
  before: (db: Queryable) => Promise<void>;
  /** What is done while v6 is locked: as few round trips as can be. */
  locked: (db: Queryable) => Promise<void>;
  /** What ends the transaction; still under the locks, and bounded with them. */
  after?: (db: Queryable) => Promise<void>;
  /** True for a purge: afterwards there is no ledger to ask what is ours. */
  ledgerGoes?: boolean;
}

export interface LockTimes {
  tries: number;
  /** How long v6 was locked or waited for by the try that succeeded, in milliseconds. */
  heldMs: number;
}

/**
 * Runs one transaction so that no v6 table is stalled for long: the locks are asked for with a short lock_timeout, held
 * for a bounded time, and after a failed try the pause is at least 99 times what v6 suffered, so that a table is stalled
 * for less than 1 % of the time. The whole transaction is tried again until the time is up.
 *
 * An operator that stands still under the locks (stopped, or its network gone) cannot look at the time: the server ends
 * its session once that has sent nothing for as long as the locks may be held. After the pause the first statement of the
 * next try says so, and Database.write begins the work anew.
 * @param deadline Unix time in milliseconds after which no further try begins
 * @throws GuardianError naming who holds the lock, or saying that the work takes too long under it;
 *   ConnectionLostError with 25P03 if the server had to end the session
 */
export async function withV6Locks(fenced: FencedWriter, deadline: number, work: LockedWork): Promise<LockTimes> {
  const { parameters } = fenced;
  const { signal, onProgress } = fenced.options;
  for (let tries = 1; ; tries++) {
    const times: Times = { early: 0, asked: 0, granted: 0 };
    await work.ahead?.();
    try {
      const relations = inOrder(work.relations, tries);
      await fenced.transaction((db) => attempt(db, parameters, { ...work, relations }, times));
      return { tries, heldMs: times.asked > 0 ? Math.round(performance.now() - times.asked) : 0 };
    } catch (err) {
      const cause = causeOf(err, times);
      if (!cause || signal.aborted) throw err;
      // A process that was stopped wakes up long after the server ended its session: v6 suffered only until then.
      const until = performance.now();
      const locked = times.asked > 0 ? Math.min(until - times.asked, 2 * parameters.lockHold) : 0;
      const suffered = locked + (times.early > 0 ? (times.asked || until) - times.early : 0);
      const pause = pauseAfter(suffered, parameters);
      const holders = await holdersNow(fenced, work, cause);
      if (Date.now() + pause > deadline) throw refused(cause, work, parameters, holders, tries, err);
      const again = tries > 1 ? { settings: settingsOf(parameters) } : {};
      const reason = reasonOf(cause, work, parameters, holders, tries);
      onProgress({ phase: "v6 locks", tries, reason, againSeconds: pause / 1000, ...again });
      await sleep(pause, undefined, { signal });
    }
  }
}

/**
 * v6 may lock two of the tables in the other order: then each holds what the other waits for, at every try that asks in the
 * same order.
 * @param tries 1 for the first one
 * @returns the relations as that try asks for them
 */
export function inOrder(relations: readonly string[], tries: number): readonly string[] {
  return tries % 2 === 1 ? relations : [...relations].reverse();
}

/**
 * @param suffered how long v6 was locked or queued for, in milliseconds
 * @returns how long to leave it alone, in milliseconds: at least `pauseTimes` as long, plus as much at random, so that
 *   two operators do not meet again
 */
export function pauseAfter(suffered: number, parameters: Pick<EngineParameters, "pauseFloor" | "pauseTimes">): number {
  return Math.max(parameters.pauseFloor, parameters.pauseTimes * suffered) * (1 + Math.random());
}

/** When v6 began to suffer and when the locks were had, by performance.now(); 0 for not yet. */
interface Times {
  /** Its deletions only, by locks on tables of ours. */
  early: number;
  asked: number;
  granted: number;
}

async function attempt(db: Queryable, parameters: EngineParameters, work: LockedWork, times: Times): Promise<void> {
  await db.query(`SET LOCAL lock_timeout = ${parameters.lockTimeout}`);
  if (work.early) times.early = performance.now();
  await work.before(db);
  if (work.relations.length === 0) {
    await work.locked(db);
    await work.after?.(db);
    if (!work.ledgerGoes) await refuseStray(db, work);
    return;
  }
  await refuseStray(db, { ...work, relations: [] });
  const targets = await lockTargets(db, work.relations);
  times.asked = performance.now();
  await db.script(
    `SELECT pg_catalog.set_config('guardian_migration.locked_at', pg_catalog.clock_timestamp()::text, true);
     SET LOCAL statement_timeout = ${parameters.lockHold};
     SET LOCAL idle_in_transaction_session_timeout = ${parameters.lockHold};
     LOCK TABLE ${targets} IN ${work.mode} MODE`,
  );
  times.granted = performance.now();
  const timed = new Timed(db, parameters.lockHold, times);
  await work.locked(timed);
  await work.after?.(timed);
  if (!work.ledgerGoes) await refuseStray(timed, work);
  timed.check();
}

/** Hands statements on as long as there is time, each with what is left of it as its statement_timeout. */
class Timed implements Queryable {
  constructor(
    readonly db: Queryable,
    readonly hold: number,
    readonly times: Times,
  ) {}

  query: Queryable["query"] = (text, values) => {
    this.check();
    return this.db.query(text, values);
  };

  /** Sets the rest anew before and after, by the server's clock: that costs no round trip. */
  script(text: string): Promise<void> {
    this.check();
    const rest = `SELECT pg_catalog.set_config('statement_timeout', greatest(1, ${this.hold} - pg_catalog.ceil(1000 * extract(
      epoch FROM pg_catalog.clock_timestamp() - pg_catalog.current_setting('guardian_migration.locked_at')::timestamptz)))::int::text, true)`;
    return this.db.script(`${rest};\n${text};\n${rest}`);
  }

  check(): void {
    if (performance.now() - this.times.asked > this.hold) throw new HeldTooLong("the locks were held too long");
  }
}

/** The work under the locks took longer than it may. */
class HeldTooLong extends Error {}

/**
 * lock_not_available, deadlock_detected, idle_in_transaction_session_timeout, and query_canceled by the statement_timeout
 * that is set only here (PostgreSQL manual, appendix A). The text of the message says which it was, but in the server's
 * language.
 */
function causeOf(err: unknown, times: Times): "busy" | "slow" | undefined {
  // The statement's error may be wrapped in one that says where it stands in its file.
  if (err instanceof HeldTooLong || (err instanceof Error && err.cause instanceof HeldTooLong)) return "slow";
  const code = sqlstateOf(err);
  if (code === "55P03" || code === "40P01") return "busy";
  if (times.asked === 0) return undefined;
  if (code === "25P03") return "slow";
  if (code !== "57014") return undefined;
  return times.granted > 0 ? "slow" : "busy";
}

/** The server may have ended the session of who was too slow: that is said by the next try, after the pause. */
async function holdersNow(fenced: FencedWriter, work: LockedWork, cause: "busy" | "slow"): Promise<string> {
  const read = readHolders(fenced.writer, work.relations, work.mode);
  return cause === "slow" ? read.catch(() => "") : read;
}

/** Why a try failed; after the first one, too, that nobody else is the reason. @param holders who is in the way now */
export function reasonOf(
  cause: "busy" | "slow",
  work: Pick<LockedWork, "relations" | "own">,
  parameters: Pick<EngineParameters, "lockHold">,
  holders: string,
  tries: number,
): string {
  const slow = `${named(work)}: longer than ${parameters.lockHold} ms under the locks`;
  if (cause === "slow") return tries > 1 && !holders ? `${slow}; nobody else holds them: the server is slow` : slow;
  if (holders) return holders;
  return `${named(work)}: locked by others${tries > 1 ? ", one after the other; nobody holds them now" : ""}`;
}

/** What an operator can set, with what is set. */
function settingsOf({ lockTimeout, pauseFloor, patience }: EngineParameters): string {
  const set = `timeout: ${lockTimeout}ms, pause: ${pauseFloor}ms, patience: ${patience}ms`;
  return `guardian:locks sets how long a try waits and how long it rests (now {${set}})`;
}

function named(work: Pick<LockedWork, "relations" | "own">): string {
  return work.relations.join(", ") || work.own.filter((object) => object.startsWith("table ")).join(", ");
}

function refused(
  cause: "busy" | "slow",
  work: LockedWork,
  parameters: EngineParameters,
  holders: string,
  tries: number,
  err: unknown,
): GuardianError {
  const times = `${tries} ${tries === 1 ? "try" : "tries"}`;
  if (cause === "slow") {
    const at = err instanceof GuardianError && err.where ? `: ${err.where}` : "";
    return new GuardianError("lock-held-too-long", {
      what: `the work under the locks on v6 tables took longer than the ${parameters.lockHold} ms for which they may be held; it was rolled back (${times})`,
      where: `${named(work)}${at}`,
      todo: [
        "run this again when the server, and the machine that runs this, are less busy",
        "guardian:locks.pause sets how long it rests between two tries; for how long v6 is locked is not to be set: logins wait as long",
        "if it is verify.sql that takes so long: a statement of it that passes before v6's keys and triggers are there runs before v6 is locked",
      ],
      cause: err,
    });
  }
  return new GuardianError("v6-lock-timeout", {
    what: `tables could not be locked (${work.mode}, ${parameters.lockTimeout} ms a try) within this resource's timeout (${times}); nothing was changed`,
    where: holders || named(work),
    todo: [
      "run this again at a quieter time, or after the sessions named here have ended",
      `guardian:locks.timeout (now ${parameters.lockTimeout}ms, at most 200ms) lets a try wait longer, as whoever comes after it does`,
      "give the resource a longer timeout (customTimeouts)",
    ],
    cause: err,
  });
}
