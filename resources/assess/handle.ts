import { assess } from "../../engine/assess";
import type { Database } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import type { DatabaseCall } from "../call";
import type { FunctionHandler } from "../../provider/types";
import { movedBut } from "../../engine/ledger/batches";
import { isCopied } from "../../engine/ledger/identity";
import { leavingModules } from "../../engine/module/leaving";
import { noteAccepted } from "../publications";
import { readAhead } from "../readings";
import { leavingText, movedText } from "../sentences";
import { assessSpec } from "./spec";

export const assessHandler: FunctionHandler<Database> = {
  spec: assessSpec,
  async invoke(call, args) {
    const server = await call.host.server();
    const { accepted = [] } = args as unknown as { accepted?: string[] };
    noteAccepted(call.host, accepted);
    readAhead(call.host);
    const { items, volume, readers, beforeUp } = await call.host
      .read((db) => assess(db, accepted, call.preview))
      .catch((err: unknown) => {
        throw fromPostgres(err, "assessment");
      });
    for (const { readiness, item, status } of items) if (readiness === "Warning") call.log.warn(`${item}: ${status}`);
    if (beforeUp !== undefined) call.log.warn(`this role may preview, and lacks rights that up needs; ${beforeUp}`);
    // No output: a plan that was saved (up --plan) holds for other counts too, and Pulumi ends one that does not in silence.
    call.log.info(`v6 holds ${volume.map(({ status }) => status).join(" and ")}`);
    if (readers.length > 0) call.log.info(`changes of this database's tables are read: ${readers.join(", ")}`);
    const { modules, migrations } = args as unknown as { modules: string[]; migrations?: string[] };
    await tellLeaving(call, modules, migrations);
    return { server: `PostgreSQL ${server.version}`, items: items.map((item) => ({ ...item })) };
  },
};

/** Says what would be taken out. */
async function tellLeaving(
  call: DatabaseCall,
  modules: readonly string[],
  migrations?: readonly string[],
): Promise<void> {
  const { ledger, here } = await call.host.whereabouts();
  if (!ledger || isCopied(ledger, here)) return;
  const moved = migrations ? await call.host.read((db) => movedBut(db, migrations)) : [];
  for (const one of moved) call.log.warn(movedText(one));
  for (const one of await call.host.read((db) => leavingModules(db, modules))) {
    call.log.warn(leavingText(one, call.host.parameters.lockHold));
  }
}
