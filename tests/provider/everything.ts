import type { V6 } from "../support/postgres";
import { withLeft, type Held, type Walk } from "../support/walk";
import type { Wire } from "../support/wire";
import type { Bag } from "./gated";

/** A resource, and what the program says of it. */
interface One {
  kind: string;
  name: string;
  args: Bag;
  held: Held;
}

/** One resource of every kind, in the order in which they are made; rows only where their module is there. */
async function everything(walk: Walk, modules: readonly string[]): Promise<One[]> {
  const made: One[] = [];
  const make = async (kind: string, name: string, args: Bag): Promise<Bag> => {
    const held = await walk.create(kind, name, args);
    made.push({ kind, name, args, held });
    return held.state;
  };
  const { ledgerId } = (await make("Ledger", "ledger", { purge: false })) as { ledgerId: Wire };
  await make("Backup", "backup", walk.backupArgs(ledgerId, modules));
  for (const module of modules) await make("SqlModule", module, { module, ledgerId });
  const { sessionId = null } = await make("MigrationSession", "session", walk.session(ledgerId, 9));
  if (modules.includes("004_enhanced_consent")) await make("DataMigration", "consents", walk.consents(ledgerId));
  const flag = { flag: "enhanced_consent", enabled: true, rolloutPercentage: 100, enabledForUsers: [] };
  await make("FeatureFlag", "enhanced_consent", { ...flag, ledgerId });
  await make("SessionCompletion", "completion", { sessionId, ledgerId });
  return made;
}

/** Runs a test on a database where another run of the engine made everything. */
export const withEverything = (
  modules: readonly string[],
  test: (made: One[], db: V6) => Promise<void>,
): Promise<void> => withLeft(`everything of ${modules.join(" ")}`, (walk) => everything(walk, modules), test);
