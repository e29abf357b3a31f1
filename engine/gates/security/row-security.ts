import { pulumiCommand } from "../../../spec";
import { quoteName, rows } from "../../base/sql";
import { standingTables } from "../../ledger/objects";
import { notApplicable, some, type Check } from "../check";

/** Guide 6.3, "RLS policies active", of every table that the migration made. */
export const rowSecurity: Check = {
  name: "row-security",
  asks: "whether every v7 table has row security, and no policy of it is open to everybody",
  cost: "catalogue",
  async run({ db }) {
    const tables = await standingTables(db);
    if (tables.length === 0) return notApplicable("no module is applied");
    const found = await rows<{ name: string; enabled: boolean; open: string[] }>(
      db,
      `SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AS enabled,
         ARRAY(SELECT p.polname::text FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND 0 = ANY (p.polroles) ORDER BY 1) AS open
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname || '.' || c.relname = ANY ($1) AND c.relkind IN ('r', 'p') ORDER BY 1`,
      [tables],
    );
    const off = found.filter(({ enabled }) => !enabled);
    const open = found.flatMap(({ name, open: policies }) => policies.map((policy) => ({ name, policy })));
    const gone = tables.filter((name) => !found.some((one) => one.name === name));
    const lines = [
      ...off.map(({ name }) => `${quoteName(name)} has row security off`),
      ...open.map(({ name, policy }) => `policy ${JSON.stringify(policy)} of ${quoteName(name)} is for PUBLIC`),
      ...gone.map((name) => `${quoteName(name)} is gone`),
    ];
    const figures = { tables: tables.length, faults: lines.length };
    if (lines.length === 0)
      return { verdict: "passed", evidence: [`${tables.length} tables, each with row security`], figures };
    return {
      verdict: "failed",
      evidence: some(lines),
      figures,
      mend: [
        ...off.slice(0, 8).map(({ name }) => `ALTER TABLE ${quoteName(name)} ENABLE ROW LEVEL SECURITY`),
        ...(open.length + gone.length > 0
          ? [`find out who changed it: ${pulumiCommand("refresh")} shows what differs`]
          : []),
      ],
    };
  },
};
