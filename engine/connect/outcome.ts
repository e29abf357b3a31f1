import { setTimeout as sleep } from "node:timers/promises";
import { GuardianError, fromPostgres } from "../errors";
import { discard, openClient } from "./open";
import type { ConnectionSettings } from "./settings";

/** `unknown`: so long ago that the server has forgotten it. */
export type TransactionOutcome = "committed" | "aborted" | "in progress" | "unknown";

/**
 * How a transaction ended (manual, 9.27, "Transaction ID and Snapshot Information Functions", pg_xact_status). Ask soon:
 * the server keeps this for about as long as it keeps pg_xact.
 *
 * @param xid  the xid8 that pg_current_xact_id_if_assigned() gave, as text.
 * @param patience  seconds to wait for one that is in progress: a backend whose client is gone may need a moment.
 * @throws GuardianError if the server cannot be asked, or does not know such an id (another server, or one restored).
 */
export async function transactionOutcome(
  settings: ConnectionSettings,
  xid: string,
  patience = 0,
): Promise<TransactionOutcome> {
  const client = await openClient(settings, "guardian-migration outcome");
  const until = Date.now() + patience * 1000;
  try {
    for (;;) {
      const text = "SELECT pg_catalog.pg_xact_status($1::pg_catalog.xid8) AS status";
      const status = (await client.query<{ status: TransactionOutcome | null }>(text, [xid])).rows[0]?.status;
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
