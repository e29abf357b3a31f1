import type { Context } from "../context";
import { startFollowing } from "../notes/triggers";

/**
 * Follow: triggers on the v6 tables that the source reads note the keys of all rows that change from now on.
 * @throws GuardianError naming who holds the tables
 */
export async function follow(context: Context): Promise<void> {
  const { fenced, it } = context;
  fenced.options.onProgress({ phase: "follow", subject: it.name });
  await startFollowing(fenced, context.deadline(), it);
}
