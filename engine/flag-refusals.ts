import { GuardianError } from "./base/errors";
import { exists, first, type Queryable } from "./base/sql";
import { pulumiCommand } from "../spec";

/**
 * The error that the flag has no row.
 * @param declared whether the stack declares it, and so makes the row; else the way out is a statement to paste
 */
export function flagGone(name: string, declared: boolean): GuardianError {
  const columns = "feature_name, enabled, rollout_percentage, enabled_for_users, configuration, description";
  return new GuardianError("flag-missing", {
    what: "the flag's row is gone; somebody deleted it by hand",
    where: `public.feature_flags, ${name}`,
    todo: declared
      ? [
          `see it: ${pulumiCommand("refresh")}; then up makes the row anew`,
          "if nobody needs the flag: take it out of guardian:flags",
        ]
      : `put it back: INSERT INTO public.feature_flags (${columns}) SELECT ${columns} FROM public.feature_flag_seed() WHERE feature_name = '${name}'`,
  });
}

/**
 * The error that a row is there of a flag that the stack declares and did not make.
 * @param delivered whether module 001 delivers a flag of that name
 */
export async function flagTaken(db: Queryable, name: string, delivered: boolean): Promise<GuardianError> {
  return new GuardianError("flag-exists", {
    what: "a flag of this name is there already, and this stack did not make it; it is left as it is",
    where: `public.feature_flags, ${name}, changed ${await lastChange(db, name)}`,
    todo: delivered
      ? "module 001_feature_flags delivers it: take it out of guardian:flags; guardian:rollout sets it"
      : [
          "give yours another name in guardian:flags",
          `if nobody asks for the one that is there: DELETE FROM public.feature_flags WHERE feature_name = '${name}'`,
        ],
  });
}

/** The error that somebody changed the flag since this stack wrote it. */
export async function flagChanged(db: Queryable, name: string): Promise<GuardianError> {
  return new GuardianError("flag-changed", {
    what: "the flag was changed outside this stack since it last wrote it; it is not overwritten unseen",
    where: `flag ${name}, changed ${await lastChange(db, name)}`,
    todo: [
      `see the change and take it into the state: ${pulumiCommand("refresh")}; then up sets what the program says`,
      "make the program say what the database says",
      "put the row back by hand to what it was: the audit log says when it changed, and by whom",
    ],
  });
}

/** Who changed the flag and when, from the audit log. */
export async function lastChange(db: Queryable, name: string): Promise<string> {
  if (!(await exists(db, "public.audit_log"))) return "unknown: there is no audit log";
  const row = await first<{ who: string; at: string }>(
    db,
    `SELECT pg_catalog.concat_ws(' ', actor_role, actor::text) AS who, occurred_at::text AS at FROM public.audit_log
     WHERE table_name = 'public.feature_flags' AND record_key = $1 ORDER BY occurred_at DESC LIMIT 1`,
    [name],
  );
  return row ? `by ${row.who} at ${row.at}` : "unknown: the audit log has no row of it";
}
