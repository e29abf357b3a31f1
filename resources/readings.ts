import type { Database } from "../engine/database";
import { readObjects } from "../engine/ledger/objects";
import { readInventory, type Inventory } from "../engine/module/inventory";
import { ledgerSteps } from "./call";

/** URN of a module → its objects as they were when they were made. Read once for all modules. */
export function recordedObjects(host: Database): Promise<Map<string, Inventory>> {
  return host.cached("recorded", async (db) => {
    const modules = new Map<string, Inventory>();
    for (const row of await readObjects(db)) {
      const inventory: Inventory = modules.get(row.urn) ?? new Map<string, string>();
      modules.set(row.urn, inventory.set(row.object, row.definition));
    }
    return modules;
  });
}

/** What the catalogue has now. Read once for all modules. */
export function presentObjects(host: Database, schemas: readonly string[]): Promise<Inventory> {
  return host.cached(`inventory ${schemas.join(" ")}`, (db) => readInventory(db, schemas));
}

/**
 * Begins to read what every diff of an `up` will ask for, while the program still declares its resources. Whoever asks
 * waits for it, or reads anew if it fails.
 */
export function readAhead(host: Database): void {
  const read = async (): Promise<void> => {
    if ((await ledgerSteps(host)).length === 0) return;
    await Promise.all([recordedObjects(host), presentObjects(host, ["public"])]);
  };
  read().catch(() => undefined);
}
