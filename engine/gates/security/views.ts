import { quoteName } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { viewsOverTables } from "../../neighbours/definers";
import { notApplicable, some, type Check } from "../check";

/** A view reads with its owner's rights, past every policy, unless it is security_invoker (manual, CREATE VIEW). */
export const views: Check = {
  name: "views",
  asks: "whether a view, of whosever, gives the API's roles rows of v7's tables past their policies",
  cost: "catalogue",
  async run({ db }) {
    const tables = await standingTables(db);
    if (tables.length === 0) return notApplicable("no module is applied");
    const found = (await viewsOverTables(db, tables)).filter(({ invoker }) => !invoker);
    const open = found.filter(({ api }) => api.length > 0);
    const figures = { definers: found.length, open: open.length };
    if (open.length === 0)
      return {
        verdict: "passed",
        evidence: [`${found.length} views read with their owner's rights, none of them for the API`],
        figures,
      };
    return {
      verdict: "failed",
      evidence: some(
        open.map(
          ({ name, on, api }) =>
            `${quoteName(name)} shows ${on.join(", ")} to ${api.join(", ")}, whatever the policies say`,
        ),
      ),
      figures,
      mend: open
        .slice(0, 8)
        .map(
          ({ name }) =>
            `ALTER VIEW ${quoteName(name)} SET (security_invoker = true), or REVOKE ALL ON ${quoteName(name)} FROM anon, authenticated`,
        ),
    };
  },
};
