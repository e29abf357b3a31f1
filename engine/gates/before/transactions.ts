import { first, rows } from "../../base/sql";
import { shown } from "../../base/names";
import { couldNotRun, some, type Check, type Finding } from "../check";

/** A transaction that is older keeps dead rows and blocks locks: numbers.md's own limit, PERF, "longest transaction > 300 s". */
const longest = 300;

/** Who holds v6 for long makes every lock of the migration wait, and logins behind it. */
/** @param seconds for which a transaction may be open; tests have their own */
export const transactionsOver = (seconds: number): Check => ({
  name: "transactions",
  asks: `whether transactions are open for more than ${seconds} s, or prepared and left`,
  cost: "catalogue",
  async run({ db }) {
    const prepared = await rows<{ text: string }>(
      db,
      `SELECT pg_catalog.quote_literal(p.gid) || ' of user ' || p.owner || ', prepared ' || extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::bigint || ' s ago' AS text
       FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database() ORDER BY p.prepared`,
    );
    const left = prepared.map(({ text }) => shown(text));
    const seeing = await first<{ may: boolean }>(
      db,
      "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS may",
    );
    const blind = seeing?.may !== true;
    // Hidden from who may not see it: the start of others' transactions is NULL then (manual, 27.2.3).
    const open = await rows<{ pid: number; name: string; seconds: string }>(
      db,
      `SELECT a.pid, coalesce(a.usename::text, '') || coalesce(' (' || nullif(a.application_name, '') || ')', '') AS name,
         extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::bigint AS seconds
       FROM pg_catalog.pg_stat_activity a
       WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
         AND a.backend_type = 'client backend' AND a.xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1)
       ORDER BY a.xact_start`,
      [seconds],
    );
    const lines = [
      ...left.map((one) => `prepared transaction ${one}`),
      ...open.map(({ pid, name, seconds }) => `backend ${pid}, ${shown(name)}: open for ${seconds} s`),
    ];
    const figures = { prepared: prepared.length, longest: Number(open[0]?.seconds ?? 0) };
    if (lines.length > 0)
      return {
        verdict: "warned",
        evidence: some(lines),
        figures,
        mend: ["end them before up: COMMIT or ROLLBACK, ROLLBACK PREPARED, or pg_terminate_backend(pid)"],
      } satisfies Finding;
    if (blind)
      return couldNotRun(
        "this role does not see since when transactions of others are open",
        "GRANT pg_read_all_stats TO this role",
      );
    return { verdict: "passed", evidence: [`none is open for ${seconds} s, none is prepared`], figures };
  },
});

export const transactions = transactionsOver(longest);
