import { modulesOnV6 } from "../../ledger/modules";
import { couldNotRun, notApplicable, type Check, type Finding } from "../check";
import { figuresOf, recordedIn } from "./figures";
import { patienceMs } from "../in-time";
import { timeInServer, type InServer } from "./in-server";
import { ms } from "./judge";
import { measure, type Measurement, type Means } from "./measure";
import { appQueries } from "./queries";

/** What a baseline can be got by, where there is none. */
export const toMeasure = [
  "take back what touches v6 (guardian:through infrastructure, then up), and go on with up: the gate before the schema stage measures it",
  "or accept that there is none, by guardian:accept",
];

/** @param means tests have their own */
export const baselineBy = (means: Means = {}): Check => ({
  name: "performance-baseline",
  asks: "how long the application's reading queries take before anything of v7 touches v6, and what they read: what performance is measured against",
  cost: "queries",
  turns: true,
  baseline: true,
  async run(site) {
    const touching = await modulesOnV6(site.db);
    if (touching.length > 0) {
      const kept = site.before.get(baseline.name);
      if (recordedIn(kept?.figures) && kept)
        return {
          verdict: "passed",
          evidence: ["kept as it was measured", ...kept.evidence],
          figures: kept.figures ?? {},
        };
      return couldNotRun(`${touching.join(", ")} stands already: what is measured now is not v6 alone`, ...toMeasure);
    }
    const found = await measure(site, means);
    return told(found, await timeInServer(site, means));
  },
});

export const baseline = baselineBy();

function told(found: Measurement, inServer: InServer): Finding {
  const { role, control, queries } = found;
  const slow = appQueries.filter(({ name }) => ["slow", "unknown"].some((one) => one === queries.get(name)));
  const measured = appQueries.filter(({ name }) => typeof queries.get(name) === "object");
  const lines = appQueries.map(({ name, title, table }) => {
    const result = queries.get(name);
    if (result === undefined || result === "empty") return `${title}: nobody to ask for in ${table}`;
    if (result === "unknown") return `${title}: whom to ask for was not found in ${patienceMs / 1000} s`;
    if (result === "slow") return `${title}: no answer in ${patienceMs / 1000} s`;
    const { p50, p95, p99, pages, accounts, explained, shapes } = result;
    const cut = explained < accounts ? `; the time was over after ${explained} of ${accounts} accounts` : "";
    return `${title}: p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}; ${pages.toFixed(1)} pages a run by ${shapes.join(" or ")}${cut}`;
  });
  if (measured.length + slow.length === 0) return notApplicable("v6 has no account and no row that is somebody's");
  const how = `asked as ${role} with row security off; a query of no table: p95 ${ms(control.p95)}`;
  const lacking = inServer.slow.map(
    (name) => `module 009 will have no baseline of ${name}: a round of it takes too long`,
  );
  const finding = { evidence: [...lines, ...lacking, how], figures: { ...figuresOf(found), ...inServer.figures } };
  if (slow.length === 0) return { verdict: "passed", ...finding };
  const mend = slow.map(({ table }) => `ANALYZE ${table}, and see the checks v6 and indexes: an index may be gone`);
  return { verdict: "could not run", ...finding, mend: [...new Set(mend)] };
}
