import { engineParameters } from "../../parameters";
import type { Pace } from "./pace";

/** Keys in one range of the plan; a batch takes as many ranges as fit its time. */
export const { rangeKeys } = engineParameters();
/** Keys in a batch at first: the size that was fastest where it was measured. */
const startKeys = 10 * rangeKeys;
const mostKeys = 25 * rangeKeys;

/** @returns keys of a worker's first batch: a migration that is not at full speed begins with the least */
export function firstSize(pace: Pick<Pace, "speed">): number {
  return pace.speed < 1 ? rangeKeys : startKeys;
}

/**
 * @param speed the pace's; below 1 a migration that is to go slower makes shorter batches too
 * @returns keys of the next batch, so that it takes the target's time; at most twice as many as before
 */
export function nextSize(keys: number, tookMs: number, targetMs: number, speed: number): number {
  const wanted = (keys * targetMs * Math.min(1, speed)) / Math.max(tookMs, 1);
  return Math.round(Math.max(rangeKeys, Math.min(wanted, 2 * keys, mostKeys)));
}
