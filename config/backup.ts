import { choice, integer, like, optional, otherwise, record, standing, within, type Property } from "../spec";

const verifications = ["restore", "list"] as const;

/** A time as one writes it, in seconds. */
const time = (description: string): Property<number, false> =>
  standing(like(/^[1-9]\d*[smhd]$/, "a number with s, m, h or d, such as 30m, 1h or 2d", description), (written) => {
    const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[written.slice(-1)] ?? 1;
    return Number(written.slice(0, -1)) * unit;
  });

export const backupKeys = {
  backup: otherwise(
    {},
    record(
      {
        directory: otherwise(".guardian/backups", like(/\S/, "a folder", "Where backups are written.")),
        jobs: otherwise(2, within(1, 64, integer("Parallel jobs of pg_dump."))),
        /** In seconds. */
        maxAge: otherwise(
          "1h",
          time(
            "How long after the end of its proof a backup serves changes that are still to come; older, up takes a new one.",
          ),
        ),
        verify: otherwise(
          "restore",
          choice(
            verifications,
            "restore: whatever adds or changes waits until the backup was restored on a scratch server and compared. list: only its table of contents is read, which proves nothing; a warning, and refused where guardian:strict is true.",
          ),
        ),
        /** In seconds. */
        maxRestore: optional(
          time("How long a restore may take. Longer is a warning, and refused where guardian:strict is true."),
        ),
        keep: otherwise(
          {},
          record(
            {
              count: otherwise(5, within(1, 1000, integer("The newest so many are kept."))),
              /** In seconds. */
              age: otherwise("30d", time("All that are younger are kept.")),
            },
            "What `npm run backups -- prune` keeps, besides what the ledger relies on and the last one that is proven: {count: 5, age: 30d}.",
          ),
        ),
      },
      "The dump before each change.",
    ),
  ),
};
