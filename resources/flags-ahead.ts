import type { Database } from "../engine/database";
import type { DatabaseCall } from "./call";

/** Where a preview says that a flag will be written: a plugin's process lasts as long as its run. */
const ahead = new WeakSet<Database>();

/** Notes that `up` will write a flag. */
export const seeFlagAhead = ({ host }: DatabaseCall): void => void ahead.add(host);

/**
 * Whether `up` will write a flag, of which the ledger knows nothing yet. Pulumi has the flags before the gate at the end in its
 * order, in preview too: what that would do is known then.
 */
export const isFlagAhead = ({ host }: DatabaseCall): boolean => ahead.has(host);
