import { assess } from "../../engine/assess";
import type { Database } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import { ledgerSteps, type DatabaseCall } from "../call";
import type { FunctionHandler } from "../../provider/types";
import { leavingFlags } from "../../engine/flag-leaving";
import { movedBut } from "../../engine/ledger/batches";
import { isCopied } from "../../engine/ledger/identity";
import { leavingModules } from "../../engine/module/leaving";
import { noteAccepted } from "../publications";
import { readAhead } from "../readings";
import { leavingFlagsText, leavingText, movedText } from "../sentences";
import { assessSpec } from "./spec";

export const assessHandler: FunctionHandler<Database> = {
  spec: assessSpec,
  async invoke(call, args) {
    const server = await call.host.server();
    const { accepted = [], operators = [] } = args as unknown as { accepted?: string[]; operators?: string[] };
    noteAccepted(call.host, accepted);
    const readOn = readAhead(call.host);
    const { items, volume, readers, beforeUp } = await call.host
      .read((db) => assess(db, { publications: accepted, operators }, call.preview))
      .catch((err: unknown) => {
        throw fromPostgres(err, "assessment");
      });
    for (const { readiness, item, status } of items) if (readiness === "Warning") call.log.warn(`${item}: ${status}`);
    if (beforeUp !== undefined) call.log.warn(`this role may preview, and lacks rights that up needs; ${beforeUp}`);
    // No output: a plan that was saved (up --plan) holds for other counts too, and Pulumi ends one that does not in silence.
    call.log.info(`v6 holds ${volume.map(({ status }) => status).join(" and ")}`);
    if (readers.length > 0) call.log.info(`changes of this database's tables are read: ${readers.join(", ")}`);
    await tellLeaving(call, args as unknown as Program);
    readOn();
    return { server: `PostgreSQL ${server.version}`, items: items.map((item) => ({ ...item })) };
  },
};

/** What the program declares; an older one says less. */
interface Program {
  modules: readonly string[];
  migrations?: readonly string[];
  flags?: readonly string[];
}

/** Says what would be taken out. */
async function tellLeaving(call: DatabaseCall, { modules, migrations, flags }: Program): Promise<void> {
  const { ledger, here } = await call.host.whereabouts();
  if (!ledger || isCopied(ledger, here)) return;
  const steps = await ledgerSteps(call.host);
  const put = flags ? await call.host.read((db) => leavingFlags(db, steps, flags)) : [];
  if (put.length > 0) call.log.warn(leavingFlagsText(put));
  const moved = migrations ? await call.host.read((db) => movedBut(db, migrations)) : [];
  for (const one of moved) call.log.warn(movedText(one));
  for (const one of await call.host.read((db) => leavingModules(db, modules))) {
    call.log.warn(leavingText(one, call.host.parameters.lockHold));
  }
}
