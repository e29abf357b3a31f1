import type { Client } from "pg";
import { gateChecks } from "../../spec/gates";
import type { Made, Walk } from "../support/walk";
import type { Wire } from "../support/wire";

export type Bag = Record<string, Wire>;

export const limits = { maxDataLoss: 0.001, warnSlowdown: 0.1, maxSlowdown: 0.25 };

/** The gate after the schema stage, as the program would declare it. */
export const schemaGate = ({ ledger, modules }: Made, more: Bag = {}): Bag => ({
  ...{ gate: "schema", checks: [...gateChecks.schema], limits, strict: false, publications: [] },
  judges: Object.fromEntries(modules.map(({ urn, state }) => [urn.split("::").at(-1)!, state["meaning"]!])),
  backup: { directory: "backups", maxAgeSeconds: 3600, verify: "list" },
  ledgerId: ledger.state["ledgerId"]!,
  ...more,
});

/** Notes something of a stage in the ledger, as if that stood. */
export async function stands(admin: Client, walk: Walk, kind: string, stage: string): Promise<void> {
  const urn = walk.urn(kind, "x").replace("::guardian-migration", `::guardian:stage:${stage}$guardian-migration`);
  await admin.query(
    `INSERT INTO guardian_migration.step (urn, kind, ledger_id, attempt, state, epoch)
     SELECT $1, $2, id, 1, 'done', 1 FROM guardian_migration.ledger`,
    [urn, kind],
  );
}
