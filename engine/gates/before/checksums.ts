import { first, rows, type Queryable } from "../../base/sql";
import { sqlName } from "../../base/names";
import { some, type Check } from "../check";

export const checksums: Check = {
  name: "checksums",
  asks: "whether the server has met damaged pages",
  cost: "catalogue",
  worse: ["failures"],
  async run({ db }) {
    const on = await first<{ on: string }>(db, "SELECT pg_catalog.current_setting('data_checksums') AS on");
    if (on?.on !== "on")
      return {
        verdict: "warned",
        evidence: ["data_checksums is off: a damaged page is found only when its rows cannot be read"],
        mend: ["pg_checksums --enable, with the server stopped; the proof of the backup reads every table meanwhile"],
      };
    const found = await rows<{ name: string | null; failures: string; last: string | null }>(
      db,
      `SELECT s.datname AS name, s.checksum_failures AS failures, s.checksum_last_failure::text AS last
       FROM pg_catalog.pg_stat_database s WHERE s.checksum_failures > 0 ORDER BY 1`,
    );
    if (found.length === 0) return { verdict: "passed", evidence: [await noneSince(db)], figures: { failures: 0 } };
    return {
      verdict: "failed",
      evidence: some(
        found.map(({ name, failures, last }) => {
          return `${name === null ? "shared tables" : sqlName(name)}: ${failures}, the last on ${last ?? "a day that is not known"}`;
        }),
      ),
      figures: { failures: found.reduce((sum, { failures }) => sum + Number(failures), 0) },
      mend: ["find the tables (pg_amcheck), restore them from a standby or a backup; change nothing before"],
    };
  },
};

/** A reset forgets what was met before, and so does a crash. */
async function noneSince(db: Queryable): Promise<string> {
  const reset = await first<{ last: string | null }>(
    db,
    "SELECT pg_catalog.max(s.stats_reset)::text AS last FROM pg_catalog.pg_stat_database s",
  );
  return reset?.last ? `none was met since ${reset.last}, when statistics were last set to 0` : "none was met";
}
