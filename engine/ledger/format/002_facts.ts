import { ledgerTable } from "../schema";

/** Before, the ledger did not say by which version of the inventory an object was described; there was one. */
export const facts = {
  to: 2,
  what: "it notes by which version of the inventory each object was described",
  alters: [`table ${ledgerTable("object")}`],
  sql: `ALTER TABLE ${ledgerTable("object")} ADD COLUMN facts integer NOT NULL DEFAULT 1;
    ALTER TABLE ${ledgerTable("object")} ALTER COLUMN facts DROP DEFAULT;
    COMMENT ON COLUMN ${ledgerTable("object")}.facts IS 'Version of the inventory that described it: what a later one tells besides is no drift.';`,
} as const;
