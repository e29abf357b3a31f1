import type { Context } from "../context";
import { outlast } from "../rows/outlast";
import { proveAll } from "../rows/proof";

/**
 * Prove: compares all rows of source and target.
 * @throws GuardianError naming the keys and columns that differ
 */
export async function prove(context: Context): Promise<void> {
  const { session, it, guarded } = context;
  // Where an index keeps no second row out, a row that somebody is still writing beside one of ours cannot be seen yet.
  if (!guarded) await outlast(session, it.target, context.deadline());
  session.options.onProgress({ phase: "prove", subject: it.name });
  context.proof = await proveAll(context.crew, context);
  context.total = Number(context.proof.source);
}
