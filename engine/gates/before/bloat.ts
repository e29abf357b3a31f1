import { v6Tables } from "../../../spec/roles";
import { v6Family } from "../../backup/snapshot/moment";
import { rows } from "../../base/sql";
import { couldNotRun, some, type Check } from "../check";

/** Share of dead rows above which a table wants a VACUUM (numbers.md 4.4, PERF: dead > 10 %), if there are enough to matter. */
const [share, least] = [0.1, 10_000];

/** Of one that is partitioned each partition: rows, dead ones too, are in these. */
export const bloat: Check = {
  name: "bloat",
  asks: `whether more than ${share * 100} % of a v6 table's rows are dead, or the planner knows nothing of it`,
  cost: "catalogue",
  async run({ db }) {
    const found = await rows<{ name: string; dead: string; live: string; pages: number; fresh: boolean }>(
      db,
      `SELECT f.schema || '.' || f.name AS name, s.n_dead_tup AS dead, s.n_live_tup AS live, c.relpages AS pages,
         coalesce(s.last_analyze, s.last_autoanalyze) IS NOT NULL OR c.reltuples >= 0 AS fresh
       FROM (SELECT DISTINCT oid, schema, name FROM (${v6Family}) t) f
         JOIN pg_catalog.pg_stat_all_tables s ON s.relid = f.oid JOIN pg_catalog.pg_class c ON c.oid = f.oid ORDER BY 1`,
      [v6Tables],
    );
    if (found.length === 0) return couldNotRun("the server has no statistics of v6's tables", "see the check v6");
    const dead = found.filter(
      ({ dead: d, live }) => Number(d) >= least && Number(d) > share * (Number(d) + Number(live)),
    );
    // Small ones are looked at for what they are; of a large one the planner would guess.
    const blind = found.filter(({ fresh, pages }) => !fresh && pages > 1000);
    const figures = { dead: found.reduce((sum, one) => sum + Number(one.dead), 0) };
    if (dead.length + blind.length === 0)
      return { verdict: "passed", evidence: [`${found.length} tables, none above ${share * 100} %`], figures };
    return {
      verdict: "warned",
      evidence: some([
        ...dead.map(({ name, dead: d, live }) => `${name}: ${d} dead rows beside ${live}`),
        ...blind.map(({ name }) => `${name} was never analysed`),
      ]),
      figures,
      mend: [...dead.map(({ name }) => `VACUUM (ANALYZE) ${name}`), ...blind.map(({ name }) => `ANALYZE ${name}`)],
    };
  },
};
