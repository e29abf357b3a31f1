import { planSize } from "../../ledger/ranges";
import { rejectedKeys } from "../../ledger/rejects";
import type { Context } from "../context";
import { moveChunks } from "../rows/chunks";
import { settleKeys } from "../rows/settle";
import { Worklist } from "../rows/worklist";
import { Meter } from "../workers/meter";

/** Move: hires the crew, tries the rows again that an earlier run rejected, and moves all ranges that are left. */
export async function move(context: Context): Promise<void> {
  await context.hire();
  const { fenced, crew, it, urn, total } = context;
  const { writer } = fenced;
  await settleKeys(fenced, context, await rejectedKeys(writer, urn));
  const { moved: done } = await planSize(writer, urn);
  if (done >= total) return;
  const list = await Worklist.read(writer, urn, crew.workers.length);
  await moveChunks(crew, context, list, new Meter("move", it.name, total, done));
}
