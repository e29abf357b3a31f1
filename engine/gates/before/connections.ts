import { first } from "../../base/sql";
import { type Check } from "../check";

/** Sessions that an up needs at once: reader, writer, two workers, two of pg_dump with its leader, one to look after locks. */
const needed = 8;

export const connections: Check = {
  name: "connections",
  asks: `whether ${needed} connections are free for the migration, and the database and its role allow them`,
  cost: "catalogue",
  worse: ["lacking"],
  async run({ db }) {
    const row = await first<{ free: number; most: number; database: number | null; role: number | null }>(
      db,
      `SELECT s.most - used.all AS free, s.most,
         CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit - used.here END AS database,
         CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit - used.mine END AS role
       FROM (SELECT pg_catalog.current_setting('max_connections')::integer
           - pg_catalog.current_setting('superuser_reserved_connections')::integer
           - coalesce(pg_catalog.current_setting('reserved_connections', true)::integer, 0) AS most) s,
         (SELECT count(*)::integer AS all, count(*) FILTER (WHERE a.datname = pg_catalog.current_database())::integer AS here,
            count(*) FILTER (WHERE a.usename = current_user)::integer AS mine
          FROM pg_catalog.pg_stat_activity a -- Of others' sessions one who lacks pg_read_all_stats is told the role and no type.
          WHERE coalesce(a.backend_type, 'client backend') = 'client backend' AND a.usesysid IS NOT NULL) used,
         pg_catalog.pg_database d, pg_catalog.pg_roles r
       WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user`,
    );
    const free = Math.min(row?.free ?? 0, row?.database ?? Infinity, row?.role ?? Infinity);
    const evidence = [
      `${row?.free ?? 0} of ${row?.most ?? 0} are free${row?.database != null ? `, of the database's own limit ${row.database}` : ""}${row?.role != null ? `, of the role's ${row.role}` : ""}`,
    ];
    const figures = { free, lacking: Math.max(needed - free, 0) };
    if (free >= needed) return { verdict: "passed", evidence, figures };
    return {
      // The sessions of this check are among those that are used.
      verdict: free < needed / 2 ? "failed" : "warned",
      evidence,
      figures,
      mend: ["end idle sessions, let the pool be smaller for the night, or raise max_connections or CONNECTION LIMIT"],
    };
  },
};
