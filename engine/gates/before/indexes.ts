import { quoteName, rows } from "../../base/sql";
import { some, type Check } from "../check";

/** Left over from CREATE INDEX CONCURRENTLY that failed: written at every change, and no query uses it. */
export const indexes: Check = {
  name: "indexes",
  asks: "whether indexes of schemas public and auth are invalid",
  cost: "catalogue",
  async run({ db }) {
    const found = await rows<{ name: string; of: string }>(
      db,
      `SELECT n.nspname || '.' || i.relname AS name, t.relname AS of
       FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace
         JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
       WHERE n.nspname IN ('public', 'auth') AND NOT (x.indisvalid AND x.indisready)
         AND i.relkind = 'i' AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.oid)
         -- Of another role's build only its lock can be seen; that of autovacuum is no build.
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.usesysid IS NOT NULL
           WHERE l.locktype = 'relation' AND l.relation = x.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
             AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
       ORDER BY 1`,
    );
    if (found.length === 0) return { verdict: "passed", evidence: ["all are valid"], figures: { invalid: 0 } };
    return {
      verdict: "warned",
      evidence: some(found.map(({ name, of }) => `${quoteName(name)} on ${of} is invalid`)),
      figures: { invalid: found.length },
      mend: some(found.map(({ name }) => `REINDEX INDEX CONCURRENTLY ${quoteName(name)}; or drop it`)),
    };
  },
};
