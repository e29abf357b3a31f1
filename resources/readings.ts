import type { Database } from "../engine/database";
import { readObjects } from "../engine/ledger/objects";
import { byModule, type Records } from "../engine/module/drift";
import { inventoryVersion, readInventory, type Inventory } from "../engine/module/inventory";
import { ledgerSteps } from "./call";

/** What the ledger recorded of all modules' objects. Read once for all modules. */
export function recordedObjects(host: Database): Promise<Records> {
  return host.cached("recorded", async (db) => byModule(await readObjects(db)));
}

const inventoryKey = (schemas: readonly string[], version = inventoryVersion): string =>
  `inventory ${version} ${schemas.join(" ")}`;

/** What the catalogue has now, as a version of the inventory tells it. Read once for all modules. */
export function presentObjects(
  host: Database,
  schemas: readonly string[],
  version = inventoryVersion,
): Promise<Inventory> {
  return host.cached(inventoryKey(schemas, version), (db) => readInventory(db, schemas, version));
}

/**
 * Begins to read what every diff of an `up` will ask for, while the program still declares its resources. Whoever asks
 * waits for it, or reads anew if it fails. What takes longest is read on a session of its own, beside the assessment.
 * @returns what begins the rest, once the assessment has its answer
 */
export function readAhead(host: Database): () => void {
  const read = async (): Promise<void> => {
    const { ledger } = await host.whereabouts();
    if (!ledger) return;
    await host.ahead(inventoryKey(["public"]), (db) => readInventory(db, ["public"], inventoryVersion));
  };
  read().catch(() => undefined);
  return () => {
    const rest = async (): Promise<void> => {
      if ((await ledgerSteps(host)).length > 0) await recordedObjects(host);
    };
    rest().catch(() => undefined);
  };
}
