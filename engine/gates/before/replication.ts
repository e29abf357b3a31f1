import { first, rows } from "../../base/sql";
import { sqlName } from "../../base/names";
import { describeReaders } from "../../neighbours/publications";
import { couldNotRun, some, type Check } from "../check";

/** So much WAL kept for a slot means that its reader is gone or far behind. */
const heldBytes = 1024 ** 3;
/** Seconds by which a standby may be behind; the migration writes more than a usual day. */
const behind = 60;

export const replication: Check = {
  name: "replication",
  asks: `whether standbys are more than ${behind} s behind, and slots keep more than 1 GiB of WAL`,
  cost: "catalogue",
  async run({ db }) {
    const slots = await rows<{ name: string; active: boolean; held: string | null; status: string | null }>(
      db,
      `SELECT s.slot_name AS name, s.active, s.wal_status AS status,
         pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint AS held
       FROM pg_catalog.pg_replication_slots s WHERE NOT s.temporary ORDER BY 1`,
    );
    const standbys = await rows<{ name: string; lag: string | null; hidden: boolean }>(
      db,
      `SELECT coalesce(r.application_name, 'standby') AS name, extract(epoch FROM r.replay_lag)::bigint AS lag, r.state IS NULL AS hidden
       FROM pg_catalog.pg_stat_replication r ORDER BY 1`,
    );
    const readers = await describeReaders(db);
    const lost = slots.filter(({ status }) => status === "lost" || status === "unreserved");
    const unread = slots.filter(
      ({ held, active }) => Number(held ?? 0) > heldBytes || (!active && Number(held ?? 0) > 0),
    );
    const late = standbys.filter(({ lag }) => Number(lag ?? 0) > behind);
    // To a role that may not see others' statistics, state is NULL as well; of an idle standby only the lag is.
    const hidden = standbys.filter((one) => one.hidden).length;
    const idling = standbys.filter(({ lag }) => lag === null).length - hidden;
    const logical = await first<{ level: string }>(db, "SELECT pg_catalog.current_setting('wal_level') AS level");
    const lines = [
      ...lost.map(({ name, status }) => `slot ${sqlName(name)} is ${status}`),
      ...unread.map(({ name, held, active }) => {
        return `slot ${sqlName(name)} keeps ${(Number(held) / 1e6).toFixed(0)} MB of WAL${active ? "" : ", and nobody reads it"}`;
      }),
      ...late.map(({ name, lag }) => `standby ${sqlName(name)} is ${lag} s behind`),
    ];
    const figures = {
      slots: slots.length,
      heldBytes: Math.max(0, ...slots.map(({ held }) => Number(held ?? 0))),
      ...{ standbys: standbys.length, late: late.length },
      lagSeconds: Math.max(0, ...standbys.map(({ lag }) => Number(lag ?? 0))),
    };
    if (lines.length > 0)
      return {
        verdict: "warned",
        evidence: some(lines),
        figures,
        mend: ["let readers catch up, or drop slots that nobody reads: their WAL fills the disk while rows move"],
      };
    if (hidden > 0)
      return {
        ...couldNotRun(
          `this role does not see how far ${hidden} of ${standbys.length} standbys are behind`,
          "GRANT pg_read_all_stats TO this role",
        ),
        figures,
      };
    return {
      verdict: "passed",
      evidence: [
        `wal_level ${logical?.level ?? ""}; ${slots.length} slots, ${standbys.length} standbys${idling > 0 ? `, ${idling} of which are idle and tell no lag` : ""}`,
        ...some(readers),
      ],
      figures,
    };
  },
};
