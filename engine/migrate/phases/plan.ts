import type { Context } from "../context";
import { planRanges } from "../plan";

/** Plan: the keys there are, cut into ranges that the ledger keeps. */
export async function plan(context: Context): Promise<void> {
  context.total = await planRanges(context.session, context.it);
}
