import { integer, like, optional, record, standing, within, type Property } from "../spec";

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000 };

/**
 * A time, as one writes it.
 * @returns milliseconds
 */
function time(least: number, most: number, bounds: string, description: string): Property<number, false> {
  const ms = (written: string): number => {
    const [, number = "", unit = ""] = /^(\d+)(ms|s|m)$/.exec(written) ?? [];
    return Number(number) * (units[unit] ?? Number.NaN);
  };
  const written = like(/^\d+(ms|s|m)$/, `a number with ms, s or m, ${bounds}`, description);
  return standing({ ...written, fits: (value) => ms(value) >= least && ms(value) <= most }, ms);
}

/** What is absent is the engine's: 50ms, 5s, 60s, and for tests what the environment says (CONTRIBUTING.md). */
export const lockKeys = {
  locks: optional({
    ...record(
      {
        timeout: optional(
          time(
            1,
            200,
            "from 1ms to 200ms",
            "How long one try waits for v6's tables; whoever comes after it waits as long.",
          ),
        ),
        pause: optional(
          time(
            1,
            600_000,
            "from 1ms to 10m",
            "The least rest after a try that failed; it is at least 99 times what v6 waited.",
          ),
        ),
        patience: optional(
          time(100, 3_600_000, "from 100ms to 60m", "How long to wait for an operator of this database that is dying."),
        ),
      },
      "How v6's tables are asked for: 50ms, 5s and 60s where it says nothing. For how long they are held is fixed, 200 ms. A destroy takes what the last up had.",
    ),
    hints: { hold: "for how long v6 is locked is fixed, 200 ms" },
  }),
};

/** The same as the plugin is configured with, in milliseconds. */
export const lockTimes = {
  locks: optional(
    record(
      {
        timeout: optional(within(1, 200, integer("lock_timeout of a try, in milliseconds."))),
        pause: optional(within(1, 600_000, integer("The least rest between tries, in milliseconds."))),
        patience: optional(within(100, 3_600_000, integer("For a dying predecessor, in milliseconds."))),
      },
      "Times of the locks.",
    ),
  ),
};
