import { integer, like, otherwise, record, standing, within } from "../spec";

const age = like(
  /^[1-9]\d*[smhd]$/,
  "a number with s, m, h or d, such as 30m, 1h or 2d",
  "A backup of a killed run that is older is not adopted.",
);

/** @returns an age in seconds */
function seconds(written: string): number {
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[written.slice(-1)] ?? 1;
  return Number(written.slice(0, -1)) * unit;
}

export const backupKeys = {
  backup: otherwise(
    {},
    record(
      {
        directory: otherwise(".guardian/backups", like(/\S/, "a folder", "Where backups are written.")),
        jobs: otherwise(2, within(1, 64, integer("Parallel jobs of pg_dump."))),
        /** In seconds. */
        maxAge: otherwise("1h", standing(age, seconds)),
      },
      "The dump before each change.",
    ),
  ),
};
