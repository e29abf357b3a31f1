import { v6Tables } from "../../../spec/roles";
import { v6Family } from "../../backup/snapshot/moment";
import { rows } from "../../base/sql";
import { countsRows } from "../../connect";
import { couldNotRun, some, type Check } from "../check";

/** Share of dead rows above which a table wants a VACUUM (numbers.md 4.4, PERF: dead > 10 %), if there are enough to matter. */
const [share, least] = [0.1, 10_000];

interface Counts extends Record<string, unknown> {
  name: string;
  dead: string;
  live: string;
  pages: number;
  /** The planner knows it. */
  fresh: boolean;
  /** The server has counted rows since its statistics were last set to 0, or there are none: dead ones are known. */
  told: boolean;
}

/** Of one that is partitioned each partition: rows, dead ones too, are in these. */
export const bloat: Check = {
  name: "bloat",
  asks: `whether more than ${share * 100} % of a v6 table's rows are dead, or the planner knows nothing of it`,
  cost: "catalogue",
  async run({ db }) {
    if (!(await countsRows(db)))
      return couldNotRun(
        "the server counts no rows: track_counts is off, and with it autovacuum",
        "SET track_counts = on, of the server, this database and this role: what says whether the migration wrote to v6 goes by it too",
      );
    const found = await rows<Counts>(
      db,
      `SELECT f.schema || '.' || f.name AS name, s.n_dead_tup AS dead, s.n_live_tup AS live, c.relpages AS pages,
         coalesce(s.last_analyze, s.last_autoanalyze) IS NOT NULL OR c.reltuples >= 0 AS fresh,
         s.n_live_tup + s.n_dead_tup > 0 OR c.reltuples <= 0 AS told
       FROM (SELECT DISTINCT oid, schema, name FROM (${v6Family}) t) f
         JOIN pg_catalog.pg_stat_all_tables s ON s.relid = f.oid JOIN pg_catalog.pg_class c ON c.oid = f.oid ORDER BY 1`,
      [v6Tables],
    );
    if (found.length === 0) return couldNotRun("the server has no statistics of v6's tables", "see the check v6");
    const dead = found.filter(
      ({ dead: d, live }) => Number(d) >= least && Number(d) > share * (Number(d) + Number(live)),
    );
    // Of a table that was never analysed the planner guesses; below 1,000 pages (8 MB) a wrong guess costs little.
    const blind = found.filter(({ fresh, pages }) => !fresh && pages > 1000);
    // After pg_stat_reset() or a crash the count of dead rows begins at 0, however many there are.
    const untold = found.filter(({ fresh, told, pages }) => fresh && !told && pages > 1000);
    const figures = { dead: found.reduce((sum, one) => sum + Number(one.dead), 0) };
    if (dead.length + blind.length + untold.length === 0)
      return { verdict: "passed", evidence: [`${found.length} tables, none above ${share * 100} %`], figures };
    return {
      verdict: "warned",
      evidence: some([
        ...dead.map(({ name, dead: d, live }) => `${name}: ${d} dead rows beside ${live}`),
        ...blind.map(({ name }) => `${name} was never analysed`),
        ...untold.map(({ name }) => `${name}: no row was counted since the statistics were set to 0`),
      ]),
      figures,
      mend: [
        ...dead.map(({ name }) => `VACUUM (ANALYZE) ${name}`),
        ...[...blind, ...untold].map(({ name }) => `ANALYZE ${name}`),
      ],
    };
  },
};
