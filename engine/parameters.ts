/** What tests lower; some of it an operator may set. */
export interface EngineParameters {
  /** lock_timeout of DDL on v6 tables, in milliseconds. */
  lockTimeout: number;
  /** How long v6 locks may be held, in milliseconds. */
  lockHold: number;
  /** The least pause after a failed try for a v6 lock, in milliseconds. */
  pauseFloor: number;
  /** How many times as long as v6 suffered by a failed try it is left alone. */
  pauseTimes: number;
  /** How long to wait for a predecessor that is going, in milliseconds. */
  patience: number;
  /** How long an operator that shows no sign of life keeps the lock, in milliseconds; it shows one every third of it. */
  lease: number;
  /** How many keys one range of a data migration's plan holds; batches are of as many more. Read once, when the engine is loaded. */
  rangeKeys: number;
  /** How often a gate times each of the application's queries in either of its two rounds. */
  queryTurns: number;
}

/** What an operator may set of the locks (`guardian:locks`), in milliseconds. */
export interface ChosenLocks {
  timeout?: number;
  pause?: number;
  patience?: number;
}

/**
 * The defaults, each of which an environment variable may lower or raise: `GUARDIAN_<NAME>_MS`, `GUARDIAN_RANGE_KEYS`,
 * `GUARDIAN_QUERY_TURNS` and `GUARDIAN_LOCK_PAUSE_TIMES`.
 * @param locks what the operator chose, which is above both
 */
export function engineParameters(env: NodeJS.ProcessEnv = process.env, locks: ChosenLocks = {}): EngineParameters {
  const number = (name: string, otherwise: number): number => {
    const given = Number(env[`GUARDIAN_${name}`]);
    return Number.isFinite(given) && given > 0 ? given : otherwise;
  };
  const ms = (name: string, otherwise: number): number => number(`${name}_MS`, otherwise);
  return {
    lockTimeout: locks.timeout ?? ms("LOCK_TIMEOUT", 50),
    lockHold: ms("LOCK_HOLD", 200),
    pauseFloor: locks.pause ?? ms("LOCK_PAUSE", 5000),
    pauseTimes: number("LOCK_PAUSE_TIMES", 99),
    patience: locks.patience ?? ms("PATIENCE", 60_000),
    lease: ms("LEASE", 15_000),
    rangeKeys: Math.ceil(number("RANGE_KEYS", 1000)),
    queryTurns: Math.ceil(number("QUERY_TURNS", 20)),
  };
}
