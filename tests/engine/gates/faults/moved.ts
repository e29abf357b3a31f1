import { loadMigration } from "../../../../engine/migrate/definition/migration";
import { assumed } from "../../migrate/harness";
import { sql, type Fault } from "./fault";

/** A data migration of which one row could not be moved, in a run whose limit was another. */
export const moved: readonly Fault[] = [
  {
    check: "moved",
    at: "data",
    fault: "a row that its new table refused",
    says: /^failed: .*preferences: \d+ rows offered, \d+ written and equal, 1 could not be moved/,
    plant: async ({ admin, engine }) => {
      await admin.query(
        `UPDATE public.user_profiles SET language = 'tlh' WHERE user_id = (SELECT min(user_id::text)::uuid FROM public.user_profiles);
         ALTER TABLE public.user_preferences ADD CONSTRAINT no_klingon CHECK (language <> 'tlh')`,
      );
      await engine.move(await loadMigration("preferences"), assumed, { maxDataLoss: 0.5 });
    },
    leaves: true, // the ledger knows of that row
    undo: sql("ALTER TABLE public.user_preferences DROP CONSTRAINT no_klingon"),
  },
];
