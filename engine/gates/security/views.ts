import { quoteName, rows } from "../../base/sql";
import { readStanding } from "../../ledger/objects";
import { viewsOverTables } from "../../neighbours/definers";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** A view reads with its owner's rights, past every policy, unless it is security_invoker (manual, CREATE VIEW). */
export const views: Check = {
  name: "views",
  asks: "whether a view of v7 reads with its owner's rights, or a view of whosever gives the API's roles rows of v7's tables past their policies",
  cost: "catalogue",
  async run({ db }) {
    const standing = await readStanding(db);
    const tables = standing("table");
    if (tables.length === 0) return notApplicable("no module is applied");
    const found = (await viewsOverTables(db, tables)).filter(({ invoker }) => !invoker);
    const own = standing("view");
    // Those over v6's tables only are among them.
    const definers = await rows<{ name: string }>(
      db,
      `SELECT n.nspname || '.' || v.relname AS name FROM pg_catalog.pg_class v JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
       WHERE v.relkind IN ('v', 'm') AND n.nspname || '.' || v.relname = ANY ($1) AND NOT coalesce((SELECT o.option_value::boolean
         FROM pg_catalog.pg_options_to_table(v.reloptions) o WHERE o.option_name = 'security_invoker'), false) ORDER BY 1`,
      [own],
    );
    const others = found.filter(({ name, api }) => api.length > 0 && !own.includes(name));
    const open = [...definers, ...others];
    const figures = { definers: found.length, open: open.length };
    if (open.length === 0)
      return {
        verdict: "passed",
        evidence: [
          `${own.length} views of v7 read with their reader's rights; ${found.length} of others with their owner's, none of them for the API`,
        ],
        figures,
      };
    const lines = [
      ...definers.map(({ name }) => `${quoteName(name)} is v7's own, and reads with its owner's rights`),
      ...others.map(
        ({ name, on, api }) =>
          `${quoteName(name)} shows ${on.join(", ")} to ${api.join(", ")}, whatever the policies say`,
      ),
    ];
    return {
      verdict: "failed",
      evidence: some(lines),
      figures,
      ...faultsNamed("views", lines),
      mend: open
        .slice(0, 8)
        .map(
          ({ name }) =>
            `ALTER VIEW ${quoteName(name)} SET (security_invoker = true), or REVOKE ALL ON ${quoteName(name)} FROM anon, authenticated`,
        ),
    };
  },
};
