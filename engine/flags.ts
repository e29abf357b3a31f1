import { isDeepStrictEqual } from "node:util";
import type { FencedWriter } from "./database";
import { GuardianError } from "./base/errors";
import { covered, readRollbacks, refuseUnacknowledged, unacknowledged, type EmergencyRollback } from "./emergency";
import { attempt } from "./ledger/attempt";
import type { FlagValues } from "./ledger/details";
import { detailOf, readStep, setStep, type Step } from "./ledger/steps";
import { exists, first, rows, type Queryable } from "./base/sql";

export type { FlagValues };

const columns = `feature_name AS name, enabled, rollout_percentage AS "rolloutPercentage",
  enabled_for_users::text[] AS "enabledForUsers", configuration`;

/** @returns all flags by name; empty where module 001 is not there */
export async function readFlags(db: Queryable): Promise<Map<string, FlagValues>> {
  const there = await first<{ there: boolean }>(
    db,
    "SELECT pg_catalog.to_regclass('public.feature_flags') IS NOT NULL AS there",
  );
  if (!there?.there) return new Map();
  const found = await rows<FlagValues & { name: string }>(db, `SELECT ${columns} FROM public.feature_flags`);
  return new Map(found.map(({ name, ...values }) => [name, values]));
}

/** @returns what module 001 delivers for each flag */
export async function readSeed(db: Queryable): Promise<Map<string, FlagValues>> {
  const found = await rows<FlagValues & { name: string }>(db, `SELECT ${columns} FROM public.feature_flag_seed()`);
  return new Map(found.map(({ name, ...values }) => [name, values]));
}

/** Compares what matters; the order of users does not. */
export function sameFlag(a: FlagValues, b: FlagValues): boolean {
  const plain = ({ enabled, rolloutPercentage, enabledForUsers, configuration }: FlagValues): unknown => [
    enabled,
    rolloutPercentage,
    [...enabledForUsers].sort(),
    configuration,
  ];
  return isDeepStrictEqual(plain(a), plain(b));
}

/**
 * What an emergency rollback made of a flag: whoever acknowledges it has seen that, and no refresh is needed.
 * @param last the newest attempt of this stack at the flag
 * @param acknowledge the session that the program acknowledges
 * @returns undefined where one waits to be acknowledged, and where none came after this stack last wrote the flag
 */
export async function leftByRollback(
  db: Queryable,
  rollbacks: readonly EmergencyRollback[],
  last: Step | undefined,
  acknowledge: string | undefined,
): Promise<FlagValues | undefined> {
  const [newest] = rollbacks;
  if (!newest || unacknowledged(rollbacks, acknowledge)) return undefined;
  const { values, writtenAt = last?.endedAt } = detailOf(last, "FeatureFlag");
  if (!values || !writtenAt) return undefined;
  const later = await first(db, "SELECT 1 WHERE $1::timestamptz > $2::timestamptz", [newest.at, writtenAt]);
  return later && { ...values, enabled: false, rolloutPercentage: 0, enabledForUsers: [] };
}

/**
 * Writes a flag: compare-and-set on what this stack last wrote, or on what its operator has seen by a refresh.
 * @param seen the values in Pulumi's state
 * @param acknowledge the session of an emergency rollback after which flags may be on again; the ledger notes that
 * @throws GuardianError with who changed it and when, or with the rollback that waits to be acknowledged
 */
export async function writeFlag(
  fenced: FencedWriter,
  name: string,
  wanted: FlagValues,
  seen: FlagValues | undefined,
  acknowledge: string | undefined,
): Promise<void> {
  const last = await readStep(fenced.writer, fenced.options.urn);
  await attempt(
    fenced,
    { kind: "FeatureFlag", state: "running" },
    last?.state === "done" ? "done" : "planned",
    (step) =>
      fenced.transaction(async (db) => {
        const live = (
          await rows<FlagValues & { name: string }>(
            db,
            `SELECT ${columns} FROM public.feature_flags WHERE feature_name = $1 FOR UPDATE`,
            [name],
          )
        )[0];
        if (!live) throw flagGone(name);
        // Once the row is held: an emergency rollback that was waited for has left its session by now.
        const rollbacks = await readRollbacks(db);
        if (wanted.enabled) refuseUnacknowledged(rollbacks, `flag ${name}`, acknowledge);
        const now: FlagValues = { ...live };
        const left = await leftByRollback(db, rollbacks, last, acknowledge);
        await refuseUnseen(db, name, now, [wanted, seen, left], last);
        await db.query(
          `UPDATE public.feature_flags SET enabled = $2, rollout_percentage = $3, enabled_for_users = $4::uuid[], configuration = $5
         WHERE feature_name = $1 AND (enabled, rollout_percentage, enabled_for_users, configuration) IS DISTINCT FROM ($2, $3, $4::uuid[], $5::jsonb)`,
          [
            name,
            wanted.enabled,
            wanted.rolloutPercentage,
            wanted.enabledForUsers,
            JSON.stringify(wanted.configuration),
          ],
        );
        const time = await first<{ now: string }>(db, "SELECT pg_catalog.clock_timestamp()::text AS now");
        const seenBack = covered(rollbacks, acknowledge).map(({ id }) => id);
        const detail = { values: wanted, writtenAt: time?.now ?? "" };
        await setStep(db, step, {
          ...{ state: "done", physicalId: name },
          detail: seenBack.length > 0 ? { ...detail, acknowledged: seenBack } : detail,
        });
      }),
  );
}

/**
 * A flag that was changed outside the stack is not overwritten unseen. Also asked in preview.
 * @param accepted values that may be there: what is wanted, and what the operator has seen by a refresh
 * @param last the newest attempt of this stack at the flag
 * @throws GuardianError with who changed it and when
 */
export async function refuseUnseen(
  db: Queryable,
  name: string,
  now: FlagValues,
  accepted: readonly (FlagValues | undefined)[],
  last: Step | undefined,
): Promise<void> {
  // What a failed or killed attempt carries on from the one before it: the values are committed with their row.
  const written = last && last.state !== "undone" ? detailOf(last, "FeatureFlag").values : undefined;
  const base = written ?? (await readSeed(db)).get(name);
  const known = [base, ...accepted].some((values) => values !== undefined && sameFlag(values, now));
  if (!known) throw await changedBy(db, name);
}

/** Puts a flag back to what module 001 delivers, whatever was there: flag values belong to the stack. */
export async function resetFlag(fenced: FencedWriter, name: string): Promise<void> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  if (!current || current.state === "undone") return;
  await attempt(fenced, { kind: "FeatureFlag", state: "undoing" }, current.state, (step) =>
    fenced.transaction(async (db) => {
      // What somebody dropped by hand needs no reset, and the rollback must not stop at it.
      const seeded = await exists(db, "public.feature_flag_seed()");
      if (!seeded || !(await exists(db, "public.feature_flags"))) {
        await setStep(db, step, { state: "undone", physicalId: name });
        return;
      }
      await db.query(
        `UPDATE public.feature_flags f SET enabled = s.enabled, rollout_percentage = s.rollout_percentage,
           enabled_for_users = s.enabled_for_users, configuration = s.configuration
         FROM public.feature_flag_seed() s WHERE f.feature_name = $1 AND s.feature_name = $1`,
        [name],
      );
      await setStep(db, step, { state: "undone", physicalId: name });
    }),
  );
}

/** The error that the flag has no row; its way out is a statement to paste. */
export function flagGone(name: string): GuardianError {
  const columns = "feature_name, enabled, rollout_percentage, enabled_for_users, configuration, description";
  return new GuardianError("flag-missing", {
    what: "the flag's row is gone; somebody deleted it by hand",
    where: `public.feature_flags, ${name}`,
    todo: `put it back: INSERT INTO public.feature_flags (${columns}) SELECT ${columns} FROM public.feature_flag_seed() WHERE feature_name = '${name}'`,
  });
}

/** Who changed the flag and when, from the audit log. */
export async function lastChange(db: Queryable, name: string): Promise<string> {
  const there = await first<{ there: boolean }>(
    db,
    "SELECT pg_catalog.to_regclass('public.audit_log') IS NOT NULL AS there",
  );
  if (!there?.there) return "unknown: there is no audit log";
  const row = await first<{ who: string; at: string }>(
    db,
    `SELECT pg_catalog.concat_ws(' ', actor_role, actor::text) AS who, occurred_at::text AS at FROM public.audit_log
     WHERE table_name = 'public.feature_flags' AND record_key = $1 ORDER BY occurred_at DESC LIMIT 1`,
    [name],
  );
  return row ? `by ${row.who} at ${row.at}` : "unknown: the audit log has no row of it";
}

async function changedBy(db: Queryable, name: string): Promise<GuardianError> {
  return new GuardianError("flag-changed", {
    what: "the flag was changed outside this stack since it last wrote it; it is not overwritten unseen",
    where: `flag ${name}, changed ${await lastChange(db, name)}`,
    todo: [
      "see the change and take it into the state: pulumi refresh; then up sets what the program says",
      "make the program say what the database says",
      "put the row back by hand to what it was: the audit log says when it changed, and by whom",
    ],
  });
}
