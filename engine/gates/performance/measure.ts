import { first, type Queryable } from "../../base/sql";
import { percentile } from "../../migrate/workers/throttle/probe";
import type { Site } from "../check";
import { inTime } from "../in-time";
import { inTurnOf, pacing, type Paced } from "./pacing";
import { explain, hashOf } from "./plans";
import { appQueries, control, type AppQuery } from "./queries";
import { sampleOf, type Sample } from "./sample";

/** Milliseconds of some work: a clock. Tests have one of their own. @param query its name, or `control` */
export type Stopwatch = (query: string, work: () => Promise<unknown>) => Promise<number>;

const stopwatch: Stopwatch = async (_query, work) => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};

/** What a query takes by the clock, in milliseconds of the client: with the network, as the application has it. */
export interface Timed {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** By how much the p95 of the two rounds differ: what the clock says twice of the same. */
  readonly spread: number;
  /** Runs of both rounds. */
  readonly runs: number;
}

/** What a query takes, by the clock and by the server's own account. */
export interface Measured extends Timed {
  /** Pages of the buffers that one run takes, as a mean over the accounts that were explained. */
  readonly pages: number;
  /** Accounts that there were to ask for, and for how many of them a run was explained before the time was over. */
  readonly accounts: number;
  readonly explained: number;
  /** A hash of the plans, without conditions. */
  readonly plan: number;
  /** The plans that there are, for people; none of what was recorded. */
  readonly shapes: readonly string[];
  /** Rows that an account has in the table, as a mean; undefined where they could not be counted in time. */
  readonly rows: number | undefined;
  /** Pages of the table itself, and with those where long values lie apart; 0 of what a baseline does not tell. */
  readonly tablePages: number;
  readonly wholePages: number;
}

/** `empty`: nobody is there to ask for. It took longer than `patienceMs` to find whom to ask for: `unknown`; to run: `slow`. */
export type Result = Measured | "empty" | "unknown" | "slow";

/** Everything that was measured at one time. */
export interface Measurement {
  /** When it began, in seconds since 1970 by the server's clock. */
  readonly at: number;
  /** As whom; empty of what was recorded. */
  readonly role: string;
  readonly control: Timed;
  readonly queries: ReadonlyMap<string, Result>;
}

/** By what is measured; tests have means of their own. */
export interface Means extends Paced {
  readonly clock?: Stopwatch;
}

/** What a measurement may be told. */
export interface Wanted extends Means {
  /** Only accounts that were there then, in seconds since 1970; absent: now. */
  readonly until?: number | undefined;
  /** Which queries; absent: all. */
  readonly of?: readonly AppQuery[];
}

/**
 * Measures the application's queries: each once for every account untimed, once more explained, and then in two rounds whose
 * runs alternate, so that what else the server does meets both alike. It works a tenth of its time, which is where the
 * throttle of a data migration begins on a server that it does not know; what a turn waits for counts up to `countedMs`.
 * Each turn is a transaction of its own, and rests are between two of them.
 *
 * It asks as the role of the connection with row security off: what policies cost is not in the figures, the condition that
 * they add (whose a row is) is. No value leaves it: numbers, and names of indexes and tables.
 *
 * @throws DatabaseError: 42501 where policies hide rows from this role, 55P03 where somebody locks a table; the signal's reason
 */
export async function measure(site: Site, wanted: Wanted = {}): Promise<Measurement> {
  const turns = site.host.parameters.queryTurns;
  const here = await inTurnOf(site, (db) =>
    first<{ at: number; role: string }>(
      db,
      "SELECT extract(epoch FROM pg_catalog.now())::pg_catalog.float8 AS at, current_user::text AS role",
    ),
  );
  const { at = 0, role = "" } = here ?? {};
  const subjects: Subject[] = [];
  const queries = new Map<string, Result>();
  for (const query of wanted.of ?? appQueries) {
    const sample = await inTurnOf(site, (db) => sampleOf(db, query, { most: turns, until: wanted.until ?? at }));
    if (!sample) queries.set(query.name, "unknown");
    else if (sample.whom.length === 0) queries.set(query.name, "empty");
    else subjects.push(new Subject(query, sample));
  }
  const explaining = pacing(site, wanted);
  const most = Math.max(0, ...subjects.map(({ sample }) => sample.whom.length));
  for (let i = 0; i < most; i++) await explaining(i, (db) => inTurn(subjects, i, (subject) => subject.explain(db, i)));
  // A time of its own, or there is none for the clock once explaining took long.
  const timing = pacing(site, wanted);
  const controls: Rounds = [[], []];
  const clock = wanted.clock ?? stopwatch;
  for (let i = 0; i < 2 * turns; i++)
    await timing(i, async (db) => {
      controls[i % 2]?.push(await clock("control", () => db.query(control)));
      await inTurn(subjects, i, (subject) => subject.time(db, i, clock));
    });
  for (const subject of subjects) queries.set(subject.query.name, subject.result());
  return { at, role, control: timedOf(controls), queries };
}

/** Does something of each in turn; each is as often the first as the last. */
async function inTurn(
  subjects: readonly Subject[],
  turn: number,
  work: (one: Subject) => Promise<void>,
): Promise<void> {
  for (let k = 0; k < subjects.length; k++) {
    const subject = subjects[(turn + k) % subjects.length];
    if (subject && !subject.slow) await work(subject);
  }
}

/** Milliseconds of either round. */
type Rounds = readonly [number[], number[]];

/** One query that is being measured. */
class Subject {
  /** A run took too long: it is not asked again. */
  slow = false;
  readonly #times: Rounds = [[], []];
  readonly #pages: number[] = [];
  readonly #shapes = new Set<string>();

  constructor(
    readonly query: AppQuery,
    readonly sample: Sample,
  ) {}

  async explain(db: Queryable, turn: number): Promise<void> {
    const { text } = this.query;
    if (turn >= this.sample.whom.length) return;
    const values = [this.#whom(turn)];
    await this.#inTime(db, async () => {
      // The first run fills caches, and marks what of an index leads to dead rows: the second passes that by.
      await db.query(text, values);
      const { pages, shape } = await explain(db, text, values);
      this.#pages.push(pages);
      this.#shapes.add(shape);
    });
  }

  /** Both rounds ask for the same accounts. */
  async time(db: Queryable, turn: number, clock: Stopwatch): Promise<void> {
    const values = [this.#whom(turn >> 1)];
    await this.#inTime(db, async () => {
      const ms = await clock(this.query.name, () => db.query(this.query.text, values));
      this.#times[turn % 2]?.push(ms);
    });
  }

  result(): Result {
    if (this.slow) return "slow";
    const pages = this.#pages.reduce((sum, one) => sum + one, 0) / Math.max(1, this.#pages.length);
    const shapes = [...this.#shapes].sort();
    const { whom, ...size } = this.sample;
    const asked = { accounts: whom.length, explained: this.#pages.length };
    return { ...timedOf(this.#times), pages, ...asked, plan: hashOf(shapes), shapes, ...size };
  }

  #whom(turn: number): string | undefined {
    return this.sample.whom[turn % this.sample.whom.length];
  }

  async #inTime(db: Queryable, work: () => Promise<void>): Promise<void> {
    this.slow = !(await inTime(db, async () => (await work(), true)));
  }
}

function timedOf([one, other]: Rounds): Timed {
  const both = [...one, ...other];
  const of = (share: number): number => percentile(both, share);
  const spread = Math.abs(percentile(one, 0.95) - percentile(other, 0.95));
  return { p50: of(0.5), p95: of(0.95), p99: of(0.99), spread, runs: both.length };
}
