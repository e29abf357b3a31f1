import { number, otherwise, record, ruled, within } from "../spec";

export const gateKeys = {
  gates: otherwise(
    {},
    ruled(
      record(
        {
          maxDataLoss: otherwise(0.001, within(0, 1, number("The share of rows that cannot be moved."))),
          warnSlowdown: otherwise(
            0.1,
            within(
              0,
              100,
              number("The share by which the application becomes slower, above which up warns; no effect yet."),
            ),
          ),
          maxSlowdown: otherwise(0.25, within(0, 100, number("The same, above which up stops; no effect yet."))),
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
