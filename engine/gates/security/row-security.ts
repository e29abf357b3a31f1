import { pulumiCommand } from "../../../spec";
import { quoteName, rows } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** Of a command of a policy: which rights of the table it is about. */
const commands = `CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END`;

interface Found extends Record<string, unknown> {
  name: string;
  enabled: boolean;
  /** Policies that are for PUBLIC, that show users every row, and that let them write any. */
  open: string[];
  always: string[];
  unchecked: string[];
  /** Rights that no policy is about. */
  bare: string[];
}

/**
 * Guide 6.3, "RLS policies active", of every table that the migration made: row security on, no policy for everybody, none that
 * shows users rows on no condition or lets them write any, and one for each right that an API role has.
 */
export const rowSecurity: Check = {
  name: "row-security",
  asks: "whether every v7 table has row security, a policy for each right of the API's roles, and none that is open to everybody",
  cost: "catalogue",
  async run({ db }) {
    const tables = await standingTables(db);
    if (tables.length === 0) return notApplicable("no module is applied");
    const found = await rows<Found>(
      db,
      `SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AS enabled,
         ARRAY(SELECT p.polname::text FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND 0 = ANY (p.polroles) ORDER BY 1) AS open,
         ARRAY(SELECT p.polname::text FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd <> 'a'
           AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated') AND r.oid = ANY (p.polroles))
           AND coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'true') = 'true' ORDER BY 1) AS always,
         ARRAY(SELECT p.polname::text FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
           AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname IN ('anon', 'authenticated') AND r.oid = ANY (p.polroles))
           AND CASE p.polcmd WHEN 'a' THEN coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), 'true')
             ELSE pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) END = 'true' ORDER BY 1) AS unchecked,
         ARRAY(SELECT r.rolname || ' may ' || w.privilege FROM pg_catalog.pg_roles r, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) w(privilege)
           WHERE r.rolname IN ('anon', 'authenticated') AND CASE w.privilege WHEN 'DELETE' THEN pg_catalog.has_table_privilege(r.oid, c.oid, 'DELETE')
               ELSE pg_catalog.has_any_column_privilege(r.oid, c.oid, w.privilege) END
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive
               AND (0 = ANY (p.polroles) OR r.oid = ANY (p.polroles)) AND coalesce(${commands}, w.privilege) = w.privilege) ORDER BY 1) AS bare
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname || '.' || c.relname = ANY ($1) AND c.relkind IN ('r', 'p') ORDER BY 1`,
      [tables],
    );
    const off = found.filter(({ enabled }) => !enabled);
    const open = found.flatMap(({ name, open: policies }) => policies.map((policy) => ({ name, policy })));
    const always = found.flatMap(({ name, always: policies }) => policies.map((policy) => ({ name, policy })));
    const unchecked = found.flatMap(({ name, unchecked: policies }) => policies.map((policy) => ({ name, policy })));
    const bare = found.flatMap(({ name, bare: rights }) => rights.map((right) => ({ name, right })));
    const gone = tables.filter((name) => !found.some((one) => one.name === name));
    const lines = [
      ...off.map(({ name }) => `${quoteName(name)} has row security off`),
      ...open.map(({ name, policy }) => `policy ${JSON.stringify(policy)} of ${quoteName(name)} is for PUBLIC`),
      ...always.map(
        ({ name, policy }) => `policy ${JSON.stringify(policy)} shows users every row of ${quoteName(name)}`,
      ),
      ...unchecked.map(
        ({ name, policy }) => `policy ${JSON.stringify(policy)} lets users write any row of ${quoteName(name)}`,
      ),
      ...bare.map(({ name, right }) => `${right} on ${quoteName(name)}, and no policy is about that`),
      ...gone.map((name) => `${quoteName(name)} is gone`),
    ];
    const figures = { tables: tables.length, faults: lines.length };
    if (lines.length === 0)
      return { verdict: "passed", evidence: [`${tables.length} tables, each with row security`], figures };
    return {
      verdict: "failed",
      evidence: some(lines),
      figures,
      ...faultsNamed("row-security", lines),
      mend: [
        ...off.slice(0, 8).map(({ name }) => `ALTER TABLE ${quoteName(name)} ENABLE ROW LEVEL SECURITY`),
        ...(lines.length > off.length
          ? [`find out who changed it: ${pulumiCommand("refresh")} shows what differs`]
          : []),
      ],
    };
  },
};
