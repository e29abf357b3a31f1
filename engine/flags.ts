import { isDeepStrictEqual } from "node:util";
import type { Gate } from "../spec/gates";
import type { FencedWriter } from "./database";
import type { GuardianError } from "./base/errors";
import { covered, readRollbacks, refuseUnacknowledged, unacknowledged, type EmergencyRollback } from "./emergency";
import { heldBack, raises, type FlagChange } from "./gates/held";
import { requireGates } from "./gates/passed";
import { attempt } from "./ledger/attempt";
import type { FlagValues } from "./ledger/details";
import { detailOf, readStep, readSteps, setStep, type Step } from "./ledger/steps";
import { exists, first, rows, type Queryable } from "./base/sql";
import { flagChanged, flagGone, flagTaken } from "./flag-refusals";

export type { FlagValues };

const table = "public.feature_flags";
/**
 * Whoever stands still while it holds a flag's row is ended by the server after this: emergency_rollback_to_v6() waits for
 * 10 s only. Database.write then begins the work anew.
 */
const standstill = "SET LOCAL idle_in_transaction_session_timeout = '2s'";
/** What module 001 delivers, as a function. */
export const seedFunction = "public.feature_flag_seed()";

const owned = `enabled, rollout_percentage AS "rolloutPercentage", enabled_for_users::text[] AS "enabledForUsers", configuration`;
const columns = `feature_name AS name, ${owned}`;

/** @returns all flags by name, with their descriptions; empty where module 001 is not there */
export async function readFlags(db: Queryable): Promise<Map<string, FlagValues>> {
  if (!(await exists(db, table))) return new Map();
  const found = await rows<FlagValues & { name: string }>(db, `SELECT ${columns}, description FROM ${table}`);
  return new Map(found.map(({ name, ...values }) => [name, values]));
}

/** @returns what module 001 delivers for each flag */
export async function readSeed(db: Queryable): Promise<Map<string, FlagValues>> {
  const found = await rows<FlagValues & { name: string }>(db, `SELECT ${columns} FROM ${seedFunction}`);
  return new Map(found.map(({ name, ...values }) => [name, values]));
}

/**
 * What module 001 delivers, as far as the caller may ask: its function is granted to nobody, and an auditor only previews.
 * @returns undefined to whom it is not granted; empty where it is gone
 */
export async function readGrantedSeed(db: Queryable): Promise<Map<string, FlagValues> | undefined> {
  const sql = `SELECT pg_catalog.has_function_privilege(f, 'EXECUTE') AS granted FROM pg_catalog.to_regprocedure($1) AS f WHERE f IS NOT NULL`;
  const found = await first<{ granted: boolean }>(db, sql, [seedFunction]);
  if (!found) return new Map();
  return found.granted ? readSeed(db) : undefined;
}

/** What this stack last wrote. @param last the newest attempt at the flag */
export function lastWritten(last: Step | undefined): FlagValues | undefined {
  // An attempt begins with the values of the one before it, and gets its own by the COMMIT that writes the flag: those of a
  // failed or killed one are still what was written last.
  return last && last.state !== "undone" ? detailOf(last, "FeatureFlag").values : undefined;
}

/** Compares what matters: the order of users does not, nor a description that one of them leaves to module 001. */
export function sameFlag(a: FlagValues, b: FlagValues): boolean {
  const describesOne = a.description === undefined || b.description === undefined;
  if (!describesOne && a.description !== b.description) return false;
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
 * @param wanted with a description: the stack declares the flag, and makes its row where there is none
 * @param seen the values in Pulumi's state
 * @param said the session of an emergency rollback after which flags may be on again, which the ledger notes; and the gates
 *   that must have passed before the flag is raised
 * @throws GuardianError with who changed it and when, with the rollback that waits to be acknowledged, with the gate that has
 *   not passed, or with whose the row is
 */
export async function writeFlag(
  fenced: FencedWriter,
  name: string,
  wanted: FlagValues,
  seen: FlagValues | undefined,
  { acknowledge, behind }: { acknowledge?: string | undefined; behind?: readonly Gate[] | undefined } = {},
): Promise<void> {
  const { urn } = fenced.options;
  await refuseRaise(fenced.writer, name, { urn, wanted, acknowledge, behind });
  const last = await readStep(fenced.writer, urn);
  await attempt(
    fenced,
    { kind: "FeatureFlag", state: "running" },
    last?.state === "done" ? "done" : "planned",
    (step) =>
      fenced.transaction(async (db) => {
        await db.query(standstill);
        const { live, made } = await rowOf(db, name, { description: wanted.description, last, seen });
        // Once the row is held: an emergency rollback that was waited for has left its session by now.
        const rollbacks = await readRollbacks(db);
        if (wanted.enabled) refuseUnacknowledged(rollbacks, `flag ${name}`, acknowledge);
        const left = await leftByRollback(db, rollbacks, last, acknowledge);
        if (!made) await refuseUnseen(db, name, live, [wanted, seen, left], last);
        await db.query(
          `UPDATE ${table} SET enabled = $2, rollout_percentage = $3, enabled_for_users = $4::uuid[], configuration = $5,
             description = coalesce($6, description)
           WHERE feature_name = $1 AND (enabled, rollout_percentage, enabled_for_users, configuration, description)
             IS DISTINCT FROM ($2, $3, $4::uuid[], $5::jsonb, coalesce($6, description))`,
          [
            name,
            wanted.enabled,
            wanted.rolloutPercentage,
            wanted.enabledForUsers,
            JSON.stringify(wanted.configuration),
            wanted.description ?? null,
          ],
        );
        const time = await first<{ now: string }>(db, "SELECT pg_catalog.clock_timestamp()::text AS now");
        const seenBack = covered(rollbacks, acknowledge).map(({ id }) => id);
        const own = wanted.description === undefined ? {} : { made: true };
        const detail = { values: wanted, before: live, writtenAt: time?.now ?? "", ...own };
        await setStep(db, step, {
          ...{ state: "done", physicalId: name },
          detail: seenBack.length > 0 ? { ...detail, acknowledged: seenBack } : detail,
        });
      }),
  );
}

/**
 * No flag is raised past a gate. Asked before there is any row of the attempt: nothing was tried.
 * @throws GuardianError with the gate, or with the rollback that waits to be acknowledged
 */
async function refuseRaise(
  db: Queryable,
  name: string,
  { behind, ...change }: Omit<FlagChange, "live"> & { readonly behind: readonly Gate[] | undefined },
): Promise<void> {
  const live = (await readFlags(db)).get(name);
  if (!raises(live, change.wanted)) return;
  const rollbacks = await readRollbacks(db);
  refuseUnacknowledged(rollbacks, `flag ${name}`, change.acknowledge);
  await requireGates(db, change.urn, behind);
  const held = heldBack(await readSteps(db), rollbacks, { ...change, live });
  if (held) throw held;
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
  const written = lastWritten(last);
  const seed = written ? undefined : await readGrantedSeed(db);
  // Who may not ask may not write either: it is a preview, and up asks again.
  if (!written && !seed) return;
  const base = written ?? seed?.get(name);
  const known = [base, ...accepted].some((values) => values !== undefined && sameFlag(values, now));
  if (!known) throw await flagChanged(db, name);
}

/** Whether the row of a flag is one that this stack made, and did not remove. @param last the newest attempt at the flag */
export const isMade = (last: Step | undefined): boolean =>
  last?.state !== "undone" && detailOf(last, "FeatureFlag").made === true;

/**
 * The row of a flag, held until the transaction ends; made if the stack declares the flag and there is none.
 * @param description of a flag that the stack declares
 * @param last the newest attempt of this stack at the flag
 * @param seen the values in Pulumi's state: with these, a row that is gone was deleted by hand
 * @throws GuardianError if it is gone, or is another's
 */
async function rowOf(
  db: Queryable,
  name: string,
  of: { description: string | undefined; last: Step | undefined; seen: FlagValues | undefined },
): Promise<{ live: FlagValues; made: boolean }> {
  const text = `SELECT ${owned}, description FROM ${table} WHERE feature_name = $1 FOR UPDATE`;
  const found = await first<FlagValues & Record<string, unknown>>(db, text, [name]);
  const { description, last, seen } = of;
  if (found && description !== undefined) await refuseTaken(db, name, last);
  if (found) return { live: found, made: false };
  if (description === undefined || seen) throw flagGone(name, description !== undefined);
  return { live: await makeRow(db, name, description), made: true };
}

/**
 * Makes the row of a flag that the stack declares, off for everybody.
 * @throws GuardianError if another made one meanwhile
 */
async function makeRow(db: Queryable, name: string, description: string): Promise<FlagValues> {
  // An emergency rollback holds the rows that it found, and a new one is none of them: this waits for it, and it for this.
  await db.query(`LOCK TABLE ${table} IN EXCLUSIVE MODE`);
  const text = `INSERT INTO ${table} (feature_name, description) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING ${owned}, description`;
  const made = await first<FlagValues & Record<string, unknown>>(db, text, [name, description]);
  if (!made) throw await takenBy(db, name);
  return made;
}

/**
 * A row that this stack did not make is left as it is. Also asked in preview.
 * @param last the newest attempt of this stack at the flag
 * @throws GuardianError with who changed it and when
 */
export async function refuseTaken(db: Queryable, name: string, last: Step | undefined): Promise<void> {
  if (!isMade(last)) throw await takenBy(db, name);
}

const takenBy = async (db: Queryable, name: string): Promise<GuardianError> =>
  flagTaken(db, name, (await exists(db, seedFunction)) && (await readSeed(db)).has(name));

/**
 * Puts a flag back to what module 001 delivers, or takes its row out where this stack made it, whatever was there: flag
 * values belong to the stack.
 */
export async function resetFlag(fenced: FencedWriter, name: string): Promise<void> {
  const current = await readStep(fenced.writer, fenced.options.urn);
  if (!current || current.state === "undone") return;
  await attempt(fenced, { kind: "FeatureFlag", state: "undoing" }, current.state, (step) =>
    fenced.transaction(async (db) => {
      await db.query(standstill);
      // What somebody dropped by hand needs no reset, and the rollback must not stop at it.
      const there = await exists(db, table);
      if (there && isMade(current)) await db.query(`DELETE FROM ${table} WHERE feature_name = $1`, [name]);
      else if (there && (await exists(db, seedFunction)))
        await db.query(
          `UPDATE ${table} f SET enabled = s.enabled, rollout_percentage = s.rollout_percentage,
             enabled_for_users = s.enabled_for_users, configuration = s.configuration
           FROM ${seedFunction} s WHERE f.feature_name = $1 AND s.feature_name = $1`,
          [name],
        );
      await setStep(db, step, { state: "undone", physicalId: name });
    }),
  );
}
