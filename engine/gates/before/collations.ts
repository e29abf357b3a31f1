import { first, rows } from "../../base/sql";
import { sqlName } from "../../base/names";
import { notApplicable, some, type Check } from "../check";
import { faultsNamed } from "../faults";

/**
 * After an update of the system's C library or ICU, text sorts otherwise than its indexes do: lookups miss rows, unique
 * keys let doubles in (manual, ALTER DATABASE … REFRESH COLLATION VERSION).
 */
export const collations: Check = {
  name: "collations",
  asks: "whether the database's collations are of the version that its indexes were built with",
  cost: "catalogue",
  async run({ db }) {
    const database = await first<{ recorded: string | null; actual: string | null }>(
      db,
      `SELECT d.datcollversion AS recorded, pg_catalog.pg_database_collation_actual_version(d.oid) AS actual
       FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
    );
    const others = await rows<{ name: string; recorded: string; actual: string }>(
      db,
      `SELECT n.nspname || '.' || c.collname AS name, c.collversion AS recorded, pg_catalog.pg_collation_actual_version(c.oid) AS actual
       FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
       WHERE c.collversion IS NOT NULL AND c.collversion <> pg_catalog.pg_collation_actual_version(c.oid)
         AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attcollation = c.oid AND a.attrelid >= 16384) ORDER BY 1`,
    );
    const wrong = [
      ...(database && database.recorded !== database.actual && database.recorded !== null
        ? [`the database is of version ${database.recorded}, the system has ${database.actual ?? "none"}`]
        : []),
      ...others.map(
        ({ name, recorded, actual }) => `${sqlName(name)} is of version ${recorded}, the system has ${actual}`,
      ),
    ];
    if (wrong.length > 0)
      return {
        verdict: "failed",
        evidence: some(wrong),
        figures: { mismatched: wrong.length },
        ...faultsNamed("collations", wrong),
        mend: [
          "REINDEX DATABASE CONCURRENTLY, look for doubles in unique keys, then ALTER DATABASE … REFRESH COLLATION VERSION",
        ],
      };
    if (database?.recorded == null && database?.actual != null)
      return {
        verdict: "warned",
        evidence: [
          `by which version the database's indexes were built is not known; the system has ${database.actual}`,
        ],
        mend: [
          "REINDEX DATABASE CONCURRENTLY, unless it was made on this system; the server records no version where there was none: accept it",
        ],
      };
    if (database?.recorded == null) return notApplicable("the database's collation has no version (C, POSIX)");
    return {
      verdict: "passed",
      evidence: [`version ${database.recorded}, as the system's`],
      figures: { mismatched: 0 },
    };
  },
};
