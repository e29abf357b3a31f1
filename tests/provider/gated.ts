import { gateChecks } from "../../spec/gates";
import type { Made } from "../support/walk";
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
