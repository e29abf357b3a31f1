import { isDeepStrictEqual } from "node:util";
import { pulumiCommand } from "../../spec";
import type { Gate } from "../../spec/gates";
import { signOffs } from "../../spec/sign-offs";
import { fromPostgres, GuardianError } from "../base/errors";
import { first, rows, type Queryable } from "../base/sql";
import type { FencedWriter } from "../database";
import { readRollbacks, recordRollback, waiting } from "../emergency";
import { sameFlag, type FlagValues } from "../flags";
import { stackOf } from "../ledger/identity";
import { addStep, flagsWrittenSince, gatePassed, setStep, type WrittenFlag } from "../ledger/steps";
import type { Outcome } from "./check";
import { guide } from "./criteria/guide";
import type { Decision } from "./decide";

export type OnBreach = "stop" | "rollback";

/** One of the guide's criteria of rollback that is met, and by which checks. */
interface Breach {
  readonly criterion: string;
  readonly checks: readonly string[];
}

/**
 * Whether what failed is certain. A sign-off that is missing says nothing of v7, nor an endpoint that gave no answer, or was
 * as wrong before; and what only the clock finds slower may be its noise: a check of performance says by a figure of this
 * name whether it was the clock alone.
 */
function isCertain({ check, figures = {} }: Outcome): boolean {
  if (check in signOffs) return (figures["answeredWrong"] ?? 0) > 0;
  return check !== "performance" || figures["clockAlone"] === 0;
}

/** @returns the criteria that are met, of what failed and nobody accepts */
function breachesOf({ stops }: Pick<Decision, "stops">): Breach[] {
  const failed = stops.filter(({ outcome }) => outcome.verdict === "failed" && isCertain(outcome));
  const names = new Set(failed.map(({ outcome }) => outcome.check));
  return guide
    .filter(({ section }) => section === "8, rollback")
    .map(({ line, checks }) => ({ criterion: line, checks: checks.filter((check) => names.has(check)) }))
    .filter(({ checks }) => checks.length > 0);
}

/**
 * Sets flags back to what they were when the gate at the end was passed for the last time, where the stack wants that and a
 * criterion of rollback is met. A run that was killed, or stopped, before it came to that gate leaves its flags to the next.
 * @returns the refusal, which says what was done, or why it could not be
 */
export async function breached(
  fenced: FencedWriter,
  { gate, onBreach }: { readonly gate: Gate; readonly onBreach?: OnBreach | undefined },
  decision: Decision,
  refusal: GuardianError,
): Promise<GuardianError> {
  const breaches = onBreach === "rollback" && gate !== "before" ? breachesOf(decision) : [];
  if (breaches.length === 0) return refusal;
  const why = breaches.map(({ criterion, checks }) => `${criterion} (${checks.join(", ")})`).join("; ");
  try {
    const done = await setBack(fenced, `gate ${gate}: ${why}`);
    return told(refusal, `${why}: ${done.what}`, done.todo);
  } catch (err) {
    const { message } = fromPostgres(err, "public.feature_flags");
    return told(refusal, `${why}: the flags could NOT be set back (${message})`, [
      `switch every feature off at once: ${allOff}`,
    ]);
  }
}

const allOff = "psql -c 'SELECT emergency_rollback_to_v6()'";

const told = ({ code, what, where, todo }: GuardianError, more: string, first: readonly string[]): GuardianError =>
  new GuardianError(code, { what, where: `${where ?? ""}\n    rollback: ${more}`, todo: [...first, ...todo] });

/** Waits so long for somebody who writes flags, as module 009's function does. */
const patience = "10s";

/**
 * In one transaction: every flag that was written since is as it was then, though never on for more than now, the ledger
 * knows that, and a session says that it was an emergency rollback. No other flag, no other row and no module is touched.
 * Where nothing is to be set back and a rollback waits to be acknowledged already, nothing is written.
 */
async function setBack(fenced: FencedWriter, why: string): Promise<{ what: string; todo: readonly string[] }> {
  return fenced.transaction(async (db) => {
    await db.query("SELECT pg_catalog.set_config('lock_timeout', $1, true)", [patience]);
    // All of them, in one order, as the function locks them.
    await db.query("SELECT FROM public.feature_flags ORDER BY feature_name FOR UPDATE");
    const stack = stackOf(fenced.options.urn);
    const end: Gate = "end";
    const since = await gatePassed(db, stack, end);
    const changed: string[] = [];
    for (const flag of await flagsWrittenSince(db, stack, since.id))
      if (await setFlagBack(db, flag)) changed.push(flag.name);
    const [open] = waiting(await readRollbacks(db));
    const id =
      open && changed.length === 0
        ? open.id
        : await recordRollback(db, changed.length, `Rolled back by this stack at ${why}`);
    const then = since.ever ? `when gate ${end} was last passed` : "before this stack had gates";
    const flags =
      changed.length === 0
        ? `no flag is on for more than ${then}`
        : `${changed.join(", ")} on for no more than ${then}`;
    const on = await rows<{ name: string }>(
      db,
      `SELECT feature_name AS name FROM public.feature_flags
       WHERE enabled AND (rollout_percentage > 0 OR enabled_for_users <> '{}') ORDER BY 1`,
    );
    return {
      what: `${flags}; emergency rollback ${id}`,
      todo: [
        ...(on.length > 0
          ? [`still on: ${on.map(({ name }) => name).join(", ")}; switch everything off: ${allOff}`]
          : []),
        `when the cause is mended: ${pulumiCommand(`config set guardian:acknowledge ${id}`)}, then up; until then nothing is switched on`,
      ],
    };
  });
}

/** @returns the first, on for nobody for whom the second is not; a description is left to whoever wrote it */
const narrower = (a: FlagValues, b: FlagValues): FlagValues => ({
  configuration: a.configuration,
  enabled: a.enabled && b.enabled,
  rolloutPercentage: Math.min(a.rolloutPercentage, b.rolloutPercentage),
  enabledForUsers: a.enabledForUsers.filter((user) => b.enabledForUsers.includes(user)),
});

/** @returns whether it was another one */
async function setFlagBack(db: Queryable, { urn, name, found }: WrittenFlag): Promise<boolean> {
  const [live] = await rows<FlagValues & Record<string, unknown>>(
    db,
    `SELECT enabled, rollout_percentage AS "rolloutPercentage", enabled_for_users::text[] AS "enabledForUsers", configuration
     FROM public.feature_flags WHERE feature_name = $1`,
    [name],
  );
  if (!live) return false;
  // What is not known is taken for off; its configuration is module 001's. Never wider than it is or was in between:
  // somebody may have narrowed it, or switched everything off.
  const off = { ...live, enabled: false, rolloutPercentage: 0, enabledForUsers: [] };
  const values = [...found.map((one) => one ?? off), live].reduce(narrower);
  if (sameFlag(values, live) && isDeepStrictEqual(values.configuration, live.configuration)) return false;
  await db.query(
    `UPDATE public.feature_flags SET enabled = $2, rollout_percentage = $3, enabled_for_users = $4::uuid[], configuration = $5
     WHERE feature_name = $1`,
    [name, values.enabled, values.rolloutPercentage, values.enabledForUsers, JSON.stringify(values.configuration)],
  );
  const time = await first<{ now: string }>(db, "SELECT pg_catalog.clock_timestamp()::text AS now");
  const step = await addStep(db, { urn, kind: "FeatureFlag", state: "running" });
  await setStep(db, step, {
    state: "done",
    physicalId: name,
    detail: { values, before: live, writtenAt: time?.now ?? "" },
  });
  return true;
}
