import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError, fromPostgres } from "../base/errors";
import { discard, openClient } from "./open";
import type { ConnectionSettings } from "./settings";

/** `unknown`: so long ago that the server has forgotten it. */
export type TransactionOutcome = "committed" | "aborted" | "in progress" | "unknown";

/**
 * How a transaction ended (manual, 9.27, "Transaction ID and Snapshot Information Functions", pg_xact_status). Ask soon:
 * the server keeps this for about as long as it keeps pg_xact.
 *
 * A server that crashed may give the id of a transaction that it lost to another one: with `checkpoint`, such a one is aborted.
 *
 * @param xid  the xid8 that pg_current_xact_id_if_assigned() gave, as text.
 * @param patience  seconds to wait for one that is in progress: a backend whose client is gone may need a moment.
 * @param checkpoint  the server's newest checkpoint (checkpoint_lsn) while the transaction was in progress, as text.
 * @throws GuardianError if the server cannot be asked, or does not know such an id (another server, or one restored).
 */
export async function transactionOutcome(
  settings: ConnectionSettings,
  xid: string,
  patience = 0,
  checkpoint?: string,
): Promise<TransactionOutcome> {
  const client = await openClient(settings, "guardian-migration outcome");
  const until = Date.now() + patience * 1000;
  try {
    for (;;) {
      const answer = await client.query<{ status: TransactionOutcome | null }>(outcomeOf, [xid, checkpoint ?? null]);
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
    WHEN c.checkpoint_lsn <> $2::pg_catalog.pg_lsn
     AND pg_catalog.split_part(c.next_xid, ':', 1)::numeric * 4294967296 + pg_catalog.split_part(c.next_xid, ':', 2)::numeric
         <= ($1::text)::numeric
    THEN 'aborted' ELSE pg_catalog.pg_xact_status(($1::text)::pg_catalog.xid8) END AS status
  FROM pg_catalog.pg_control_checkpoint() c`;
