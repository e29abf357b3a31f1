import { flag, optional, otherwise, uuid } from "../spec";

export const ledgerKeys = {
  purge: otherwise(
    false,
    flag(
      "Whether destroy also drops the ledger and the archive, with every row that v7 collected. To be set and applied by up before the destroy that is to purge.",
    ),
  ),
  adopt: optional(uuid("The id of a ledger that another stack wrote and that this stack takes over. Empty for none.")),
};
