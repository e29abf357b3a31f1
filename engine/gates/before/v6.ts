import { readTables } from "../../../spec/roles";
import { missingParts } from "../../assess";
import { rows } from "../../base/sql";
import { some, type Check } from "../check";
import { faultsNamed } from "../faults";

interface Found extends Record<string, unknown> {
  name: string;
  lacks: string;
  /** Policies that show users every row. */
  open: string[];
}

/** Of a policy's command, as the catalogue has it: which right it is about; of all where it is about all. */
const commands = `CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END`;

/**
 * Guide 1.1, core tables; what the guide did not look at: columns, keys and policies. Row security is part of what makes a v6:
 * without it, its tables are open to every account. Of auth.users, which is Supabase's, only the key that v7's refer to.
 */
export const recognised: Check = {
  name: "v6",
  asks: "whether this database is a Guardian v6: tables, columns, keys, row security, and a policy for each right that shows nobody all",
  cost: "catalogue",
  async run({ db }) {
    const missing = await missingParts(db);
    const found = await rows<Found>(
      db,
      `SELECT n.nspname || '.' || c.relname AS name, pg_catalog.concat_ws(', ',
         CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p') THEN 'a primary key' END,
         CASE WHEN n.nspname = 'public' THEN pg_catalog.concat_ws(', ',
           CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
             AND k.confrelid = pg_catalog.to_regclass('auth.users') AND k.confdeltype = 'c') THEN 'a key to auth.users that takes rows along' END,
           CASE WHEN NOT c.relrowsecurity THEN 'row security' END,
           (SELECT 'a policy for ' || pg_catalog.string_agg(w.command, ', ' ORDER BY w.place)
             FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) WITH ORDINALITY w(command, place)
             WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
               AND coalesce(${commands}, w.command) = w.command))) END) AS lacks,
         ARRAY(SELECT p.polname::text FROM pg_catalog.pg_policy p WHERE n.nspname = 'public' AND p.polrelid = c.oid AND p.polpermissive AND p.polcmd <> 'a'
           AND (0 = ANY (p.polroles) OR EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated') AND r.oid = ANY (p.polroles)))
           AND coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'true') = 'true' ORDER BY 1) AS open
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname || '.' || c.relname = ANY ($1) AND c.relkind IN ('r', 'p') ORDER BY 1`,
      [readTables],
    );
    const lines = found.flatMap(({ name, lacks, open }) => [
      ...(lacks === "" ? [] : [`${name} lacks ${lacks}`]),
      ...open.map((policy) => `policy ${JSON.stringify(policy)} shows users every row of ${name}`),
    ]);
    const faults = [...missing.map((part) => `missing: ${part}`), ...lines];
    const figures = { tables: found.length, missing: missing.length, faults: lines.length };
    if (faults.length === 0)
      return {
        verdict: "passed",
        evidence: [`${found.length} tables, with v6's columns, their keys, row security and policies`],
        figures,
      };
    return {
      verdict: "failed",
      evidence: some(faults),
      figures,
      ...faultsNamed("v6", faults),
      mend: [
        missing.length > 0
          ? "check host, port and database name: guardian:database, PGHOST, PGPORT, PGDATABASE"
          : "put back what v6's own migrations made, before anything is built on it",
      ],
    };
  },
};
