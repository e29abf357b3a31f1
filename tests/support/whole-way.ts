import { GuardianError } from "../../engine/base/errors";
import { moveRows, takeBackRows } from "../../engine/migrate";
import { loadMigration, migrationNames } from "../../engine/migrate/definition/migration";
import { moduleNames } from "../../engine/module/files/manifest";
import { closeLedger } from "../../engine/purge";
import { Engine } from "../engine/module/harness";
import type { Login } from "./postgres";

/** Everything up, the data too, and everything down, purge included. @param between what is done when all is up */
export async function wholeWay(login: Login, between: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const engine = new Engine(login);
  try {
    await engine.open();
    await engine.applyReal(...moduleNames());
    const parameters = { mode: "assumed", legalBasis: "consent", statement: "s" };
    for (const name of migrationNames()) {
      const migration = await loadMigration(name);
      await engine.write("DataMigration", name, (fenced) => moveRows(fenced, migration, parameters));
    }
    await between();
    for (const name of migrationNames().reverse()) await engine.write("DataMigration", name, takeBackRows);
    for (const name of moduleNames().reverse()) await engine.undo(name);
    await engine.write("Ledger", "ledger", (fenced) => closeLedger(fenced, true));
  } catch (err) {
    throw err instanceof GuardianError ? new Error(err.message) : err;
  } finally {
    await engine.close();
  }
}
