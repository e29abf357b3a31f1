import { quoteName, rows } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { viewsOver } from "../../module/facts/relations";
import { notApplicable, some, type Check } from "../check";

/** A view reads with its owner's rights, past every policy, unless it is security_invoker (manual, CREATE VIEW). */
export const views: Check = {
  name: "views",
  asks: "whether a view, of whosever, gives the API's roles rows of v7's tables past their policies",
  cost: "catalogue",
  async run({ db }) {
    const tables = await standingTables(db);
    if (tables.length === 0) return notApplicable("no module is applied");
    const found = await rows<{ name: string; on: string[]; to: string[] }>(
      db,
      `WITH RECURSIVE above (oid, shows) AS (
         SELECT w.ev_class, t.relname::text FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace,
           LATERAL (SELECT w.ev_class ${viewsOver("t.oid")}) w WHERE tn.nspname || '.' || t.relname = ANY ($1)
         UNION SELECT w.ev_class, a.shows FROM above a, LATERAL (SELECT w.ev_class ${viewsOver("a.oid")}) w)
       SELECT n.nspname || '.' || v.relname AS name, pg_catalog.array_agg(DISTINCT a.shows) AS on,
         ARRAY(SELECT r FROM unnest(ARRAY['anon', 'authenticated']) r
           WHERE EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = r)
             AND (pg_catalog.has_any_column_privilege(r, v.oid, 'SELECT, INSERT, UPDATE') OR pg_catalog.has_table_privilege(r, v.oid, 'DELETE'))) AS to
       FROM above a JOIN pg_catalog.pg_class v ON v.oid = a.oid JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
       WHERE v.relkind IN ('v', 'm')
         AND NOT coalesce((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(v.reloptions) o WHERE o.option_name = 'security_invoker'), false)
       GROUP BY v.oid, n.nspname, v.relname ORDER BY 1`,
      [tables],
    );
    const open = found.filter(({ to }) => to.length > 0);
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
          ({ name, on, to }) =>
            `${quoteName(name)} shows ${on.join(", ")} to ${to.join(", ")}, whatever the policies say`,
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
