import type { Context } from "../context";
import { outlast } from "../rows/outlast";
import { proveAll } from "../rows/proof";

/**
 * Prove: compares all rows of source and target.
 * @throws GuardianError naming the keys and columns that differ
 */
export async function prove(context: Context): Promise<void> {
  const { fenced, it, guarded } = context;
  // Where an index keeps no second row out, a row that somebody is still writing beside one of ours cannot be seen yet.
  if (!guarded) await outlast(fenced, it.target, context.deadline());
  fenced.options.onProgress({ phase: "prove", subject: it.name });
  context.proof = await proveAll(context.crew, context);
  context.total = Number(context.proof.source);
}
