import { GuardianError } from "../../base/errors";
import { shown } from "../../base/names";
import { first, quoteName, type Queryable } from "../../base/sql";
import type { Migration } from "./migration";

/**
 * A batch is told from what anybody writes by its ledger row and by who writes it: the target's owner (`is_ledger_batch`,
 * sql/000_audit_log). From anybody else, a superuser too, each row of it is audited and notified as if a person had written it, and
 * an update of it gets another time than the batch's: v6's next change would pass it by.
 * @throws GuardianError naming the owner
 */
export async function refuseOthersTarget(db: Queryable, { name, target }: Migration): Promise<void> {
  const found = await first<{ owner: string; us: string }>(
    db,
    `SELECT pg_catalog.pg_get_userbyid(c.relowner) AS owner, current_user AS us FROM pg_catalog.pg_class c WHERE c.oid = $1::regclass`,
    [quoteName(target)],
  );
  if (!found || found.owner === found.us) return;
  throw new GuardianError("target-not-owned", {
    what: `${target} belongs to ${shown(found.owner)}, and ${shown(found.us)} would move rows into it: each would be audited and notified as if a person had written it`,
    where: `data migration ${name}`,
    todo: `connect as ${shown(found.owner)}, who made the target's module (guardian:database.user); nothing was written`,
  });
}

/**
 * By updated_at a rollback, the comparison and the catch-up know which rows nobody changed since the migration wrote them: it holds
 * the time of the batch's transaction (`isUntouched`, engine/ledger/batches.ts), to the microsecond, and any UPDATE changes it.
 * @throws GuardianError where the target keeps no such column: what patients wrote would be taken back with the migration's own
 */
export async function refuseUnmarked(db: Queryable, { name, target }: Migration): Promise<void> {
  const found = await first<{ fit: boolean; kept: boolean }>(
    db,
    // tgtype: row 1, before 2, update 16 (pg_trigger.h).
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'updated_at' AND a.attnotnull
              AND a.atttypid = 'timestamptz'::regtype AND a.atttypmod IN (-1, 6)) AS fit,
            EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = t.oid AND g.tgtype & 19 = 19
              AND pg_catalog.cardinality(g.tgattr) = 0 AND g.tgenabled IN ('O', 'A')) AS kept
     FROM (SELECT $1::regclass AS oid) t`,
    [quoteName(target)],
  );
  if (found?.fit && found.kept) return;
  throw new GuardianError("target-unfit", {
    what: found?.fit
      ? `no trigger of ${target} changes updated_at with a row: what somebody writes there could not be told from what data migration ${name} wrote`
      : `${target} has no column updated_at timestamptz NOT NULL, by which data migration ${name} knows its own rows`,
    where: `${target} (updated_at)`,
    todo: found?.fit
      ? "CREATE TRIGGER … BEFORE UPDATE … FOR EACH ROW EXECUTE FUNCTION public.set_updated_at() in the target's module"
      : "updated_at timestamptz NOT NULL DEFAULT now() in the target's module, of full precision, and a trigger BEFORE UPDATE that sets it",
  });
}

/** @throws GuardianError where rows just written are not marked by their transaction's time: nothing would know them again */
export function refuseMarkless(
  { name, target }: Migration,
  written: string | undefined,
  marked: string | undefined,
): void {
  if (written === marked) return;
  throw new GuardianError("target-unfit", {
    what: `rows that data migration ${name} writes do not get their transaction's time as updated_at, so that they could not be told from others'`,
    where: `${target} (updated_at)`,
    todo: "give the column DEFAULT now(), and let no trigger BEFORE INSERT set another time",
  });
}
