import { rows } from "../../base/sql";
import { standingNames } from "../../ledger/objects";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";

/** Called by triggers of whoever writes; it says whether the ledger writes, and nothing else. */
const forEverybody = ["public.is_ledger_batch"];

/**
 * A function whose search_path is not pinned runs what a caller puts before it; pg_temp is searched first where it is not
 * named (manual, CREATE FUNCTION, "Writing SECURITY DEFINER Functions Safely"). Modules name pg_catalog and nothing else: who may
 * make objects in another schema that stands there pins nothing. Overloads count: by the name alone.
 */
export const functions: Check = {
  name: "functions",
  asks: "whether every v7 function has its search_path pinned, and nothing of it may be called by PUBLIC",
  cost: "catalogue",
  async run({ db }) {
    const names = (await standingNames(db, "function")).map((name) => name.slice(0, name.indexOf("(")));
    if (names.length === 0) return notApplicable("no module is applied");
    const found = await rows<{ name: string; of: string; pinned: boolean; open: boolean }>(
      db,
      `SELECT p.oid::regprocedure::text AS name, n.nspname || '.' || p.proname AS of,
         EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c = 'search_path=pg_catalog, pg_temp') AS pinned,
         EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
           WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE') AND n.nspname || '.' || p.proname <> ALL ($2) AS open
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
       WHERE n.nspname || '.' || p.proname = ANY ($1) ORDER BY 1`,
      [names, forEverybody],
    );
    const lines = [
      ...found.flatMap(({ name, pinned, open }) => [
        ...(pinned ? [] : [`${name} has no pinned search_path`]),
        ...(open ? [`${name} may be called by PUBLIC`] : []),
      ]),
      ...[...new Set(names)].filter((name) => !found.some(({ of }) => of === name)).map((name) => `${name} is gone`),
    ];
    const figures = { functions: found.length, faults: lines.length };
    if (lines.length === 0)
      return { verdict: "passed", evidence: [`${found.length} functions, pinned and closed`], figures };
    return {
      verdict: "failed",
      evidence: some(lines),
      figures,
      ...faultsNamed("functions", lines),
      mend: [
        "ALTER FUNCTION … SET search_path = pg_catalog, pg_temp; REVOKE EXECUTE ON FUNCTION … FROM PUBLIC; drop overloads that somebody made",
      ],
    };
  },
};
