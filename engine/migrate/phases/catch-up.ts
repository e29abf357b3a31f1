import type { Context } from "../context";
import { settleNotes } from "../notes/settle-notes";
import { settleKeys } from "../rows/settle";

/**
 * Catch up: settles what v6 changed since it is followed, and stops the migration if too many rows were rejected by now.
 * @throws GuardianError if v6 writes faster than can be settled
 */
export async function catchUp(context: Context): Promise<void> {
  const { fenced } = context;
  await settleNotes(context, context.deadline(), (keys) => settleKeys(fenced, context, keys));
  await context.gate(fenced);
}
