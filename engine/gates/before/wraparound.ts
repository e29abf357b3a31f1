import { first } from "../../base/sql";
import { type Check } from "../check";

/** PostgreSQL warns at 2^31 - 40 million and refuses writes 37 million later (manual, 24.1.5). */
const [warns, fails] = [1_000_000_000, 1_900_000_000];

export const wraparound: Check = {
  name: "wraparound",
  asks: "how old the oldest transaction id and multixact are: the server refuses writes near two thousand million",
  cost: "catalogue",
  worse: ["xid", "multi"],
  async run({ db }) {
    const row = await first<{ xid: number; multi: number }>(
      db,
      `SELECT pg_catalog.max(pg_catalog.age(d.datfrozenxid))::integer AS xid, pg_catalog.max(pg_catalog.mxid_age(d.datminmxid))::integer AS multi
       FROM pg_catalog.pg_database d`,
    );
    const [xid, multi] = [row?.xid ?? 0, row?.multi ?? 0];
    const age = Math.max(xid, multi);
    return {
      verdict: age > fails ? "failed" : age > warns ? "warned" : "passed",
      evidence: [
        `transaction ids ${(xid / 1e6).toFixed(0)} million, multixacts ${(multi / 1e6).toFixed(0)} million old`,
      ],
      figures: { xid, multi },
      ...(age > warns
        ? { mend: ["VACUUM (FREEZE) the oldest tables of every database, first those of age(relfrozenxid)"] }
        : {}),
    };
  },
};
