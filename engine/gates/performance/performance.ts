import { modulesOnV6 } from "../../ledger/modules";
import { couldNotRun, notApplicable, type Check, type Finding, type Site } from "../check";
import { faultsNamed } from "../faults";
import { baseline, toMeasure } from "./performance-baseline";
import { figuresOf, recordedIn } from "./figures";
import { patienceMs } from "../in-time";
import { alike, driftOf, judge, judgeCut, ms, type Judged } from "./judge";
import { measure, type Measured, type Measurement, type Means } from "./measure";
import { appQueries, type AppQuery } from "./queries";

/** So often what the clock finds slower, or too slow, is measured again before it is said: an hour's noise is over by then, or is none. */
const again = 2;

/** @param means tests have their own */
export const slowdownBy = (means: Means = {}): Check => ({
  name: "performance",
  asks: "whether the application's reading queries take more time, or read more, than before the schema stage, by more than guardian:gates allows",
  cost: "queries",
  turns: true,
  worse: ["slowerShare", "slowQueries"],
  async run(site) {
    if ((await modulesOnV6(site.db)).length === 0)
      return notApplicable("nothing of v7 touches v6: there is nothing to compare");
    const then = recordedIn(site.before.get(baseline.name)?.figures);
    return then ? told(await compared(site, then, means), site) : noBaseline();
  },
  // A stack of a release before the gates: nothing was measured while v6 was alone, and nothing will be.
  async foreseen({ db, before }) {
    const later = (await modulesOnV6(db)).length === 0 || recordedIn(before.get(baseline.name)?.figures) !== undefined;
    return later ? undefined : noBaseline();
  },
});

export const slowdown = slowdownBy();

const noBaseline = (): Finding =>
  couldNotRun("there is no baseline: nothing was measured before the schema stage", ...toMeasure);

/** What came of a query: a judgement, or why there is none. */
interface Compared {
  readonly query: AppQuery;
  readonly then: Measured | undefined;
  readonly now: Measured | undefined;
  readonly judged: Judged | "nobody" | "no baseline" | "unknown" | "slow" | "cut";
}

interface Comparison {
  readonly now: Measurement;
  readonly all: readonly Compared[];
}

/** Measures now, and again what the clock alone finds slower: the best of them stands. */
async function compared(site: Site, then: Measurement, means: Means): Promise<Comparison> {
  const { limits } = site.declared;
  let now = await measure(site, { until: then.at, ...means });
  for (let tries = 0; ; tries++) {
    const all = compare(then, now, limits);
    const suspicious = all.filter(({ judged }) =>
      typeof judged === "object" ? judged.by === "clock" && judged.level !== "passed" : judged === "slow",
    );
    if (suspicious.length === 0 || tries === again) return { now, all };
    site.say(`measuring again: ${suspicious.map(({ query }) => query.title).join(", ")}`);
    now = better(now, await measure(site, { until: then.at, ...means, of: suspicious.map(({ query }) => query) }));
  }
}

/**
 * The lower time of each, with the wider spread and the slower control: what was unsure once stays so. Pages are of the one
 * that was explained for more accounts.
 */
function better(one: Measurement, other: Measurement): Measurement {
  const queries = new Map(one.queries);
  for (const [name, result] of other.queries) {
    const before = queries.get(name);
    if (typeof result === "string") continue;
    if (typeof before !== "object") {
      queries.set(name, result); // one run had no answer in time, and had one the next time
      continue;
    }
    const best = result.p95 < before.p95 ? result : before;
    const { pages, accounts, explained, plan, shapes } = result.explained < before.explained ? before : best;
    const spread = Math.max(result.spread, before.spread);
    queries.set(name, { ...best, spread, pages, accounts, explained, plan, shapes });
  }
  return { ...one, queries, control: other.control.p95 > one.control.p95 ? other.control : one.control };
}

function compare(then: Measurement, now: Measurement, limits: Site["declared"]["limits"]): Compared[] {
  const drift = driftOf(then.control, now.control, limits);
  return appQueries.map((query) => {
    const [was, is] = [then.queries.get(query.name) ?? "empty", now.queries.get(query.name) ?? "empty"];
    const [before, found] = [was, is].map((one) => (typeof one === "object" ? one : undefined));
    const judged =
      was === "empty" || is === "empty"
        ? "nobody"
        : was === "slow" || was === "unknown"
          ? "no baseline"
          : is === "slow" || is === "unknown"
            ? is
            : alike(was, is)
              ? judge(was, is, limits, drift)
              : (judgeCut(was, is, limits) ?? "cut");
    return { query, then: before, now: found, judged };
  });
}

function told({ now, all }: Comparison, { declared }: Site): Finding {
  const of = (...levels: string[]): Compared[] =>
    all.filter(({ judged }) => levels.includes(typeof judged === "object" ? judged.level : judged));
  const failed = of("failed", "slow");
  const verdict =
    failed.length > 0
      ? "failed"
      : of("no baseline", "unknown", "cut").length > 0
        ? "could not run"
        : of("warned").length > 0
          ? "warned"
          : of("passed").length > 0
            ? "passed"
            : "not applicable";
  const bad = [...failed, ...of("warned")];
  const { warnSlowdown, maxSlowdown } = declared.limits;
  const mores = bad.map(({ judged }) => (typeof judged === "object" ? judged.more : 0));
  return {
    verdict,
    // A busy server, or one that was given up: another hour may answer.
    ...(verdict === "could not run" && of("unknown", "cut").length > 0 ? { again: true } : {}),
    evidence: [
      // A summary has the first line of it: what decided is told first.
      ...[...all].sort((a, b) => seriousness(a) - seriousness(b)).map(line),
      `asked as ${now.role} with row security off; within ${percent(warnSlowdown)} passes, above ${percent(maxSlowdown)} fails`,
    ],
    figures: {
      ...figuresOf(now),
      // In steps of a tenth: who accepted it is not asked again for the clock's sake.
      slowerShare: Math.ceil(Number((Math.max(0, ...mores) * 10).toFixed(6))) / 10,
      slowQueries: of("slow").length,
      // 1: no page and no plan speaks against it, so that nothing is to be rolled back for it without a person's word.
      clockAlone: Number(failed.length > 0 && !failed.some(({ judged }) => byPages(judged))),
    },
    // The figures are of the worst: others may be as slow beside it, or in its place.
    ...faultsNamed("queries", failed.flatMap(faultsIn).sort()),
    mend: [
      ...new Set(
        bad.map(
          ({ query: { table } }) =>
            `ANALYZE ${table}, and see that each of its indexes is there and valid (checks v6, indexes)`,
        ),
      ),
      ...(bad.length > 0
        ? ["see what else is slow: SELECT * FROM slow_queries()", "if it stays so, roll back: lower guardian:through"]
        : []),
      ...(of("no baseline").length > 0 ? toMeasure : []),
      ...(of("unknown", "cut").length > 0 ? ["ask again when the server has less to do: npm run gates"] : []),
    ],
  };
}

const seriously = ["failed", "slow", "no baseline", "unknown", "cut", "warned", "passed", "nobody"];
const seriousness = ({ judged }: Compared): number =>
  seriously.indexOf(typeof judged === "object" ? judged.level : judged);

/** One that has no answer any more is more than one that takes longer. */
const faultsIn = ({ query: { title }, judged }: Compared): string[] =>
  judged === "slow" ? [title, `${title} (no answer)`] : [title];

/** One that was too slow has no pages to tell. */
const byPages = (judged: Compared["judged"]): boolean => typeof judged === "object" && judged.by === "pages and plan";

function line({ query: { title, table }, then, now, judged }: Compared): string {
  if (judged === "nobody") return `${title}: not applicable, ${table} had or has nobody to ask for`;
  if (judged === "slow") return `${title}: failed, no answer in ${patienceMs / 1000} s`;
  if (judged === "unknown") return `${title}: could not run, whom to ask for was not found in ${patienceMs / 1000} s`;
  if (judged === "no baseline" || !then || !now) return `${title}: could not run, it had no answer before either`;
  if (judged === "cut")
    return `${title}: could not run, the time was over after ${now.explained} of ${now.accounts} accounts, and then after ${then.explained}`;
  const { level, by, more, unsure } = judged;
  const plan = then.plan === now.plan ? "" : `; another plan than then: ${now.shapes.join(" or ")}`;
  const figures =
    by === "clock"
      ? `p95 ${ms(now.p95)} after ${ms(then.p95)}`
      : `${now.pages.toFixed(1)} pages a run after ${then.pages.toFixed(1)}${grown(then, now)}`;
  const why = unsure === undefined ? "" : ` (${unsure})`;
  return `${title}: ${level} by ${by}: ${figures}, ${percent(more)} more${plan}${why}`;
}

/** Why more pages than then may be no more than there were. */
const grown = (then: Measured, now: Measured): string =>
  then.rows !== undefined && now.rows !== undefined && now.rows > then.rows
    ? ` for ${now.rows.toFixed(1)} rows after ${then.rows.toFixed(1)}`
    : "";

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
