import type { Client } from "pg";
import { GuardianError, isPostgres } from "../base/errors";
import type { Progress } from "../base/progress";
import { discard, openClient } from "./open";
import { endPrepared, isPrepared, preparedText } from "./prepared";
import type { ConnectionSettings } from "./settings";

/** Milliseconds that a statement waits for a lock, unless its transaction sets less (manual, 20.11, lock_timeout). */
export const lockTimeoutDefault = 60_000;

/** The session whose statements are watched. */
interface Watched {
  readonly settings: ConnectionSettings;
  readonly pid: number;
  readonly where: string;
}

/**
 * Finds out who keeps a session waiting: by the time that lock_timeout has ended its statement, the server no longer
 * says. A statement that takes long is looked at from a connection of its own, and not before.
 */
export class LockWatch {
  constructor(
    readonly session: Watched,
    /** In milliseconds; 0 for ever. */
    readonly lockTimeout: number,
    /** Is told whenever somebody is in the way. */
    readonly onWait: ((progress: Progress) => void) | undefined,
  ) {}

  /**
   * Runs one statement.
   * @throws GuardianError naming the holder, where the statement was ended because it waited for him
   */
  async around<T>(run: () => Promise<T>): Promise<T> {
    let holders: Holder[] = [];
    let looking: Promise<void> | undefined;
    let helper: Client | undefined;
    const began = Date.now();
    const look = async (): Promise<void> => {
      helper ??= await openClient(this.session.settings, "guardian-migration who is in the way");
      const now = await readBlockers(helper, this.session.pid);
      if (now.length === 0) return;
      holders = now;
      const waitedSeconds = Math.round((Date.now() - began) / 1000);
      this.onWait?.({ phase: "connection", reason: `held by ${describe(now)}`, waitedSeconds });
    };
    const timer = setInterval(() => {
      // No second connection to be had, or the server is gone: the statement itself will tell.
      looking ??= look()
        .catch(() => undefined)
        .finally(() => (looking = undefined));
    }, this.#interval);
    timer.unref();
    try {
      return await run();
    } catch (err) {
      throw isPostgres(err) && err.code === "55P03" && holders.length > 0 ? this.#refusal(holders, err) : err;
    } finally {
      clearInterval(timer);
      await looking;
      if (helper) await discard(helper);
    }
  }

  get #interval(): number {
    return Math.min(5000, Math.max(50, this.lockTimeout / 4 || 5000));
  }

  #refusal(holders: readonly Holder[], cause: unknown): GuardianError {
    return new GuardianError("lock-timeout", {
      what: `another session holds a lock that this step waited for, up to ${this.lockTimeout / 1000} s; the step was rolled back`,
      where: `${this.session.where}; held by ${describe(holders)}`,
      todo: [
        "wait until that session's transaction has ended, then run this again",
        ...holders.flatMap(({ pid, gid }) => [
          ...(pid > 0 ? [`if nobody needs it: SELECT pg_terminate_backend(${pid});`] : []),
          ...(gid === null ? [] : [endPrepared(gid)]),
        ]),
      ],
      sqlstate: "55P03",
      cause,
    });
  }
}

interface Holder {
  /** 0 for a prepared transaction (manual, 9.26, pg_blocking_pids). */
  pid: number;
  /** The name of a prepared transaction, which no session has any more. */
  gid: string | null;
  who: string;
}

async function readBlockers(helper: Client, pid: number): Promise<Holder[]> {
  const { rows } = await helper.query<Holder>(
    `WITH b AS (
       SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS pid
     )
     SELECT b.pid, NULL AS gid, pg_catalog.concat(
       coalesce(nullif(a.application_name, ''), a.backend_type, 'a session'), ' (',
       pg_catalog.concat_ws(', ', 'pid ' || b.pid, 'user ' || a.usename, a.state,
         'transaction since ' || extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::int || ' s'), ')') AS who
     FROM b LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid WHERE b.pid > 0
     UNION ALL
     SELECT 0, p.gid, coalesce(${preparedText}, 'a prepared transaction')
     FROM b LEFT JOIN (pg_catalog.pg_locks w JOIN pg_catalog.pg_locks h ON h.granted AND h.pid IS NULL AND h.locktype = w.locktype
         AND (h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid, h.objsubid)
           IS NOT DISTINCT FROM (w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid, w.objsubid)
       JOIN pg_catalog.pg_prepared_xacts p ON ${isPrepared("h")}) ON w.pid = $1 AND NOT w.granted
     WHERE b.pid = 0
     ORDER BY 1 LIMIT 3`,
    [pid],
  );
  return rows;
}

function describe(holders: readonly Holder[]): string {
  return holders.map(({ who }) => who).join("; ");
}
