import { readTables } from "../../../spec/roles";
import { missingParts } from "../../assess";
import { rows } from "../../base/sql";
import { some, type Check } from "../check";

/** Row security is part of what makes a v6: without it, its tables are open to every account. */
const guarded = readTables.flatMap((name) => (name.startsWith("public.") ? [name.slice("public.".length)] : []));

/** Guide 1.1, core tables; what the guide did not look at: columns, keys and policies. */
export const recognised: Check = {
  name: "v6",
  asks: "whether this database is a Guardian v6: tables, columns, primary keys, row security and policies",
  cost: "catalogue",
  async run({ db }) {
    const missing = await missingParts(db);
    const open = await rows<{ name: string; lacks: string }>(
      db,
      `SELECT c.relname AS name, pg_catalog.concat_ws(', ',
         CASE WHEN NOT c.relrowsecurity THEN 'row security' END,
         CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid) THEN 'a policy' END,
         CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p') THEN 'a primary key' END) AS lacks
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = 'public' AND c.relname = ANY ($1) AND c.relkind IN ('r', 'p') ORDER BY 1`,
      [guarded],
    );
    const lacking = open.filter(({ lacks }) => lacks !== "");
    if (missing.length + lacking.length === 0)
      return {
        verdict: "passed",
        evidence: [`all of v6's ${guarded.length} tables and auth.users are as v6 made them`],
      };
    return {
      verdict: "failed",
      evidence: some([
        ...missing.map((part) => `missing: ${part}`),
        ...lacking.map(({ name, lacks }) => `public.${name} lacks ${lacks}`),
      ]),
      mend: [
        missing.length > 0
          ? "check host, port and database name: guardian:database, PGHOST, PGPORT, PGDATABASE"
          : "put back what v6's own migrations made, before anything is built on it",
      ],
    };
  },
};
