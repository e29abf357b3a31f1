import { assess } from "../../engine/assess";
import type { Database } from "../../engine/database";
import { fromPostgres } from "../../engine/base/errors";
import type { DatabaseCall } from "../call";
import type { FunctionHandler } from "../../provider/types";
import { isCopied } from "../../engine/ledger/identity";
import { leavingModules } from "../../engine/module/leaving";
import { readAhead } from "../readings";
import { leavingText } from "../sentences";
import { assessSpec } from "./spec";

export const assessHandler: FunctionHandler<Database> = {
  spec: assessSpec,
  async invoke(call, args) {
    const server = await call.host.server();
    const { items, volume } = await call.host.read(assess).catch((err: unknown) => {
      throw fromPostgres(err, "assessment");
    });
    // No output: a plan that was saved (up --plan) holds for other counts too, and Pulumi ends one that does not in silence.
    call.log.info(`v6 holds ${volume.map(({ status }) => status).join(" and ")}`);
    await tellLeaving(call, args["modules"] as string[]);
    readAhead(call.host);
    return { server: `PostgreSQL ${server.version}`, items: items.map((item) => ({ ...item })) };
  },
};

/** Says what would be taken out. */
async function tellLeaving(call: DatabaseCall, declared: readonly string[]): Promise<void> {
  const { ledger, here } = await call.host.whereabouts();
  if (!ledger || isCopied(ledger, here)) return;
  for (const one of await call.host.read((db) => leavingModules(db, declared))) {
    call.log.warn(leavingText(one));
  }
}
