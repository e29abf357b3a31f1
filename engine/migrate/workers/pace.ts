import { setTimeout as sleep } from "node:timers/promises";
import { escapeIdentifier } from "pg";
import { connectWriter } from "../../connect";
import type { FencedWriter } from "../../database";
import { sqlstateOf } from "../../base/errors";
import type { RecordedMigration } from "../../ledger/details";
import { sampleKeys } from "../../ledger/ranges";
import { exists, quoteName } from "../../base/sql";
import { Throttle } from "./throttle";

/** What is asked before and after each piece of work. */
export interface Pace {
  /** 1 and more: so many workers may run. */
  readonly speed: number;
  /** Why it goes slower, if it does. */
  readonly reason: string | undefined;
  /** Waits as long as the speed demands, at most until `over`. */
  rest(worker: number, workMs: number, over: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** too_many_connections (PostgreSQL manual, appendix A): of the server, the database or the role. */
export const isFull = (err: unknown): boolean => sqlstateOf(err) === "53300";

/** @param onWarning gets a line for each thing that the throttle cannot watch here */
export async function openPace(
  fenced: FencedWriter,
  urn: string,
  plan: RecordedMigration,
  workers: readonly FencedWriter[],
  { throttled, onWarning }: { throttled: boolean; onWarning?: ((line: string) => void) | undefined },
): Promise<Pace> {
  const throttle = throttled ? await openThrottle(fenced, urn, plan, workers) : undefined;
  throttle?.unavailable().forEach((line) => onWarning?.(line));
  return throttle ?? unhurried(workers.length);
}

/** At full speed, whatever the application feels. */
function unhurried(workers: number): Pace {
  const nothing = (): Promise<void> => Promise.resolve();
  return { speed: workers, reason: undefined, rest: nothing, close: nothing };
}

/** A speed that nothing changes, at most that of one worker. */
export function steady(speed: number, reason: string): Pace {
  const rest = async (_worker: number, workMs: number, over: AbortSignal): Promise<void> => {
    await sleep(workMs / speed - workMs, undefined, { signal: over }).catch(() => undefined);
  };
  return { speed, reason, rest, close: () => Promise.resolve() };
}

/**
 * The application is felt by one of its own cheapest reads: a row of the source table by its key.
 * @returns undefined where there is nothing to read
 */
async function openThrottle(
  fenced: FencedWriter,
  urn: string,
  plan: RecordedMigration,
  workers: readonly FencedWriter[],
): Promise<Throttle | undefined> {
  if (!(await exists(fenced.writer, quoteName(plan.from)))) return undefined;
  const keys = await sampleKeys(fenced.writer, urn);
  if (keys.length === 0) return undefined;
  const where = plan.key.map((column, i) => `${escapeIdentifier(column)} = $${i + 1}::${plan.types[i]}`);
  let at = 0;
  return Throttle.open({
    connect: () =>
      connectWriter(fenced.writer.settings, {
        detail: `${fenced.options.label}, throttle`,
        signal: fenced.options.signal,
      }),
    tables: [plan.target, ...plan.follows],
    probe: {
      text: `SELECT 1 FROM ${quoteName(plan.from)} WHERE ${where.join(" AND ")}`,
      values: () => keys[at++ % keys.length] ?? [],
    },
    workers: () => workers.map((worker) => worker.writer.pid),
    budget: plan.slowdown,
    maxWorkers: workers.length,
    signal: fenced.options.signal,
  });
}
