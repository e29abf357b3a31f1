import { openingSpeed } from "../../engine/migrate/workers/throttle/control";
import { appQueries } from "../../engine/gates/performance/queries";
import { fewestRuns, pagesNoise, smallPages } from "../../engine/gates/performance/judge";
import { patienceMs } from "../../engine/gates/in-time";
import { countedMs, longestMs } from "../../engine/gates/performance/pacing";
import { clockNoiseMs, slowdownBudget } from "../../spec/slowdown";

const percent = (share: number): string => `${share * 100} %`;
const names = appQueries.map(({ title, table }) => `${title} (\`${table}\`)`).join(", ");

/** @returns the part of docs/gates.md on what `performance-baseline` and `performance` measure, and by what they judge */
export const performancePart: readonly string[] = [
  "## How performance is judged",
  `The application's reading queries — ${names} — are measured before the schema stage (\`performance-baseline\`) and again at the ` +
    "end and by `npm run gates` (`performance`), for accounts that are found by reading: each once untimed and once by " +
    "EXPLAIN (ANALYZE, BUFFERS), then in two rounds whose runs alternate. No more than " +
    `${percent(openingSpeed)} of the time is worked, which is where the throttle of a data migration begins; of a turn through the ` +
    `queries that takes longer than ${countedMs} ms, as one over a slow network, ${countedMs} ms count. A run ends after ${patienceMs / 1000} s, ` +
    `each of the two parts after ${longestMs / 1000} s, and no lock is waited for longer than a module waits for one. Each turn is a ` +
    "read-only transaction of its own, and the rests are between them: none keeps the server from clearing up behind the application. Where the time was over before as many accounts were explained as then, a query could not run, but where " +
    "those that were explained have read too much for all of them.",
  `Within ${percent(slowdownBudget.warn)} passes, above warns, above ${percent(slowdownBudget.max)} fails ` +
    "(`guardian:gates.warnSlowdown`, `maxSlowdown`). What decides is said in each line of the evidence:",
  [
    `- **The clock**, by the 95th percentile, where it agrees with itself: the two rounds differ by less than the budget, there are ` +
      `${fewestRuns} runs at least, and a query that reads no table takes what it took then. What it finds slower, or too slow, is measured twice ` +
      `again, and the best of the three stands. Differences of ${clockNoiseMs} ms are none. Where it finds slower what reads more rows of an ` +
      "account than then, by more than the budget, it does not decide.",
    `- **Pages and plan** otherwise: the pages of the shared buffers that a run takes, hit or read, as a mean over the accounts, ` +
      `and the types of the plan's nodes with the names of their indexes. These know no noise but ${pagesNoise} page a run (one more level of an ` +
      "index). What the application added meanwhile is allowed for: rows of these accounts, and with the same plan pages of the table, with or without those where long values lie apart (TOAST).",
    "- **Another plan that reads more than the budget** counts whatever the clock says: an index that is gone is no loss yet on a " +
      `table that fits into memory. It may read what an index takes to find the rows one by one, or ${smallPages} pages.`,
  ].join("\n"),
  "They ask as the role of the connection with row security off: what v6's policies cost is not in the figures, the condition that " +
    "they add (whose a row is) is. A role from which policies hide rows could not run them. The baseline is kept from then on: where " +
    "there is none (a stack of an earlier release, v7 there before the first gate), `performance` could not run, which has not passed.",
  "The ledger keeps times, pages, hashes of plans, and names of indexes and tables; no account that was asked for, and no value.",
];
