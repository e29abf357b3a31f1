import { connectWriter, type Writer } from "../../connect";
import { FencedWriter } from "../../database";
import { first, type Queryable } from "../../base/sql";
import { isFull, openPace, steady, type Pace } from "./pace";
import type { Meter } from "./meter";
import type { RecordedMigration } from "../../ledger/details";
import { v6Untouched } from "../../untouched";

export interface CrewOptions {
  /** How many connections may work at once, where the server has room. */
  workers: number;
  throttled: boolean;
  /** Gets a line for each thing that the throttle cannot watch here. */
  onWarning?: ((line: string) => void) | undefined;
}

/**
 * @param rows that there are to move or to take back
 * @returns false for what is through before a throttle could tell what is usual
 */
export const worthThrottling = (rows: number): boolean => rows > 20_000;

/** Connections that a migration leaves to others. */
const spare = 20;
/** Milliseconds between two lines beside the resource. */
const tellMs = 2000;

/**
 * Who does a migration's work in all its phases, up and down: one or more writers of the same operator, the throttle that
 * paces them, and the line that tells of it.
 */
export class Crew {
  readonly #ticker: NodeJS.Timeout;
  #meter: Meter | undefined;

  /** @param workers the first is the operator's own writer */
  constructor(
    readonly workers: readonly FencedWriter[],
    readonly pace: Pace,
  ) {
    this.#ticker = setInterval(() => this.#tell(), tellMs);
  }

  static async open(fenced: FencedWriter, urn: string, plan: RecordedMigration, options: CrewOptions): Promise<Crew> {
    const workers = await openWorkers(fenced, await roomFor(fenced.writer, options.workers));
    try {
      return new Crew(workers, await openPace(fenced, urn, plan, workers, options));
    } catch (err) {
      await closeWorkers(workers);
      if (!isFull(err)) throw err;
      // The throttle needs two connections, and a migration that nobody watches is slowed to a tenth: helpers are given up.
      if (workers.length > 1) return Crew.open(fenced, urn, plan, { ...options, workers: 1 });
      options.onWarning?.("no connection is left to watch the server by; the migration works a tenth of its time");
      return new Crew(workers, steady(0.1, "no connection is left to watch the server by"));
    }
  }

  /** The operator's own writer, for work that is done on one connection. */
  get first(): FencedWriter {
    const [operator] = this.workers;
    if (!operator) throw new Error("a crew has one worker at least");
    return operator;
  }

  /** A phase: its line is said at its beginning, every two seconds while the work lasts, and at its end. */
  async during<T>(meter: Meter, work: () => Promise<T>): Promise<T> {
    this.#meter = meter;
    this.#tell();
    try {
      const result = await work();
      this.#tell();
      return result;
    } finally {
      this.#meter = undefined;
    }
  }

  /**
   * One piece of the first worker's work, and the rest after it.
   * @param last there is no more work after it, so that nothing is gained by resting
   * @returns its milliseconds without the rest
   */
  async turn(work: () => Promise<void>, last = false): Promise<number> {
    const { signal } = this.first.options;
    signal.throwIfAborted();
    const began = performance.now();
    await work();
    const took = performance.now() - began;
    if (!last) await this.pace.rest(0, took, signal);
    return took;
  }

  /**
   * Every worker takes one turn after another, and rests in between, until one says that nothing is left: those that
   * rest then need not wait. The first error ends the others after their turn.
   * @param turn says whether there may be more
   */
  async inTurns(turn: (fenced: FencedWriter, worker: number) => Promise<boolean>): Promise<void> {
    const over = new AbortController();
    const failed: unknown[] = [];
    const work = async (fenced: FencedWriter, worker: number): Promise<void> => {
      try {
        while (failed.length === 0) {
          fenced.options.signal.throwIfAborted();
          const began = performance.now();
          if (!(await turn(fenced, worker))) break;
          await this.pace.rest(worker, performance.now() - began, over.signal);
        }
      } catch (err) {
        failed.push(err);
      } finally {
        over.abort();
      }
    };
    await Promise.all(this.workers.map(work));
    if (failed.length > 0) throw failed[0];
  }

  /** Ends the throttle, and closes all writers but the operator's. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    try {
      await this.pace.close();
    } finally {
      await closeWorkers(this.workers);
    }
  }

  #tell(): void {
    if (this.#meter) this.first.options.onProgress(this.#meter.read(this.pace.reason));
  }
}

/** @returns how many workers this server has room for, at least one */
async function roomFor(db: Queryable, wanted: number): Promise<number> {
  const room = await first<{ free: number }>(
    db,
    `SELECT pg_catalog.current_setting('max_connections')::int - pg_catalog.current_setting('superuser_reserved_connections')::int
       - (SELECT count(*) FROM pg_catalog.pg_stat_get_activity(NULL))::int AS free`,
  );
  return Math.max(1, Math.min(wanted, (room?.free ?? 0) - spare));
}

/** Opens the writers of the workers, as many as there is room for; the first is the operator's own. */
async function openWorkers(fenced: FencedWriter, count: number): Promise<FencedWriter[]> {
  const { writer, options, epoch, parameters } = fenced;
  const workers = [fenced];
  try {
    while (workers.length < count) {
      const detail = `${options.label}, worker ${workers.length + 1}`;
      const writing = { detail, signal: options.signal, untouched: v6Untouched };
      const more = await connectWriter(writer.settings, writing).catch((err: unknown) => {
        if (isFull(err)) return undefined;
        throw err;
      });
      if (!more) break;
      workers.push(new FencedWriter(more, epoch, options, parameters));
    }
    for (const { writer: db } of workers) await prepare(db);
    return workers;
  } catch (err) {
    await closeWorkers(workers);
    throw err;
  }
}

async function closeWorkers(workers: readonly FencedWriter[]): Promise<void> {
  await Promise.all(workers.slice(1).map((worker) => worker.writer.close()));
}

/**
 * Under forced row security a migration is silently partial: with it off, the server refuses what it would hide. Plans are
 * left to the server: to force custom ones would plan every check of a foreign key anew.
 */
async function prepare(db: Writer): Promise<void> {
  await db.query(
    `SELECT pg_catalog.set_config('row_security', 'off', false), pg_catalog.set_config('jit', 'off', false)`,
  );
}
