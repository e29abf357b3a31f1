import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError, fromPostgres } from "../base/errors";
import { discard, openClient } from "./open";
import type { ConnectionSettings } from "./settings";

/** What is known of a transaction just before its COMMIT. */
export interface LastWord {
  /** Its id (xid8), as text. */
  readonly xid: string;
  /** The server's newest checkpoint (checkpoint_lsn), as text; null where it does not tell (ServerInfo.tellsCheckpoint). */
  readonly checkpoint: string | null;
  /** The server's timeline, of which each promotion begins another; null likewise. */
  readonly timeline: number | null;
}

/** Until it has a checkpoint of its own, a server that was promoted has its timeline where its recovery ended (xlog.c). */
const timeline = "greatest(c.timeline_id, r.min_recovery_end_timeline)";
const control = "pg_catalog.pg_control_checkpoint() c, pg_catalog.pg_control_recovery() r";

/** What a server says besides the id: the end of a SELECT. */
export const toldSql = `c.checkpoint_lsn::pg_catalog.text AS checkpoint, ${timeline} AS timeline FROM ${control}`;

/** The same of a server that does not tell. */
export const untoldSql = "NULL::pg_catalog.text AS checkpoint, NULL::pg_catalog.int4 AS timeline FROM (SELECT) c";

/** `unknown`: so long ago that the server has forgotten it, or another took the server's place. */
export type TransactionOutcome = "committed" | "aborted" | "in progress" | "unknown";

/**
 * How a transaction ended (manual, 9.27, "Transaction ID and Snapshot Information Functions", pg_xact_status). Ask soon:
 * the server keeps this for about as long as it keeps pg_xact.
 *
 * A server that crashed may give the id of a transaction that it lost to another one: with `told`, such a one is aborted. A
 * standby that was promoted may never have heard of it, and gives its id to another too: what it says is of no use, and unknown.
 *
 * @param xid  the xid8 that pg_current_xact_id_if_assigned() gave, as text.
 * @param patience  seconds to wait for one that is in progress: a backend whose client is gone may need a moment.
 * @param told  what the server said while the transaction was in progress.
 * @throws GuardianError if the server cannot be asked, or does not know such an id (another server, or one restored).
 */
export async function transactionOutcome(
  settings: ConnectionSettings,
  xid: string,
  patience = 0,
  told?: Pick<LastWord, "checkpoint" | "timeline">,
): Promise<TransactionOutcome> {
  const client = await openClient(settings, "guardian-migration outcome");
  const until = Date.now() + patience * 1000;
  try {
    for (;;) {
      const values = [xid, told?.checkpoint ?? null, told?.timeline ?? null];
      const answer = await client.query<{ status: TransactionOutcome | null }>(outcomeOf, values);
      const status = answer.rows[0]?.status;
      if (status !== "in progress" || Date.now() >= until) return status ?? "unknown";
      await sleep(100);
    }
  } catch (err) {
    if (err instanceof GuardianError) throw err;
    throw fromPostgres(err, `${settings.toString()}, transaction ${xid}`, "check that this is still the same server");
  } finally {
    await discard(client);
  }
}

/**
 * Recovery ends with a checkpoint, before anyone may connect (manual, 30.5): one newer than `checkpoint` that knows no id
 * as high as ours says that nothing of our transaction had reached the disk. One that was under way before our id was
 * given says so as well, by mistake, and that does no harm: the work is run again, and the ledger knows that it is done.
 */
const outcomeOf = `
  SELECT CASE
    WHEN ${timeline} <> $3::pg_catalog.int4 THEN 'unknown'
    WHEN c.checkpoint_lsn <> $2::pg_catalog.pg_lsn
     AND pg_catalog.split_part(c.next_xid, ':', 1)::numeric * 4294967296 + pg_catalog.split_part(c.next_xid, ':', 2)::numeric
         <= ($1::text)::numeric
    THEN 'aborted' ELSE pg_catalog.pg_xact_status(($1::text)::pg_catalog.xid8) END AS status
  FROM ${control}`;
