import { number, otherwise, record, ruled, within } from "../spec";
import { slowdownBudget } from "../spec/slowdown";

export const gateKeys = {
  gates: otherwise(
    {},
    ruled(
      record(
        {
          maxDataLoss: otherwise(
            0.001,
            within(
              0,
              1,
              number(
                "The share of rows that may be missing: of a data migration's rows those that cannot be moved, of a table of v6 those that are lost.",
              ),
            ),
          ),
          warnSlowdown: otherwise(
            slowdownBudget.warn,
            within(
              0,
              100,
              number(
                "The share by which the application's queries become slower, or read more, than before the schema stage, above which the check performance warns.",
              ),
            ),
          ),
          maxSlowdown: otherwise(
            slowdownBudget.max,
            within(0, 100, number("The same, above which it fails, and up stops.")),
          ),
        },
        "Limits that stop an up.",
      ),
      ({ warnSlowdown, maxSlowdown }) => {
        if (warnSlowdown === undefined || maxSlowdown === undefined || warnSlowdown <= maxSlowdown) return [];
        const text = `is ${warnSlowdown}, above maxSlowdown ${maxSlowdown}: it would never warn`;
        return [{ path: ["warnSlowdown"], text }];
      },
    ),
  ),
};
