import type { BackupProgress } from "../engine/backup";
import type { KnownBackup } from "../engine/backup/step/policy";
import type { ProofProgress } from "../engine/backup/prove/types";
import type { LeavingFlag } from "../engine/flag-leaving";
import type { Plan, PlannedLock, PlannedRows } from "../engine/base/plan";
import { shown } from "../engine/base/names";
import type { Phase, Progress } from "../engine/base/progress";
import { changedValue, showRejects, unreached, type Reject } from "../engine/ledger/rejects";
import type { Remaining } from "../engine/module/archive/remaining";
import type { Drift } from "../engine/module/drift";
import type { Leaving } from "../engine/module/leaving";
import type { StoreProgress } from "../engine/store/storing";

/* The one place where what the engine knows becomes a sentence beside a resource. */

const listed = (names: readonly string[]): string => (names.length > 5 ? `${names.length} objects` : names.join(", "));

/** What keeps in the stack what a lower guardian:through takes out. */
const raise = "set guardian:through to a later stage again";

const many = (n: number, noun = "row"): string => `${n} ${noun}${n === 1 ? "" : "s"}`;

/**
 * @param reasons reason → rows
 * @returns what is said of rows that are left out on purpose; empty where there are none
 */
export function leftOutText(reasons: Readonly<Record<string, number>>): string {
  const each = Object.entries(reasons).sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
  if (each.length === 0) return "";
  const all = each.reduce((sum, [, n]) => sum + n, 0);
  return `left out on purpose, which is no loss: ${all} (${each.map(([reason, n]) => `${n} ${reason}`).join(", ")})`;
}

const verbs: Record<PlannedRows["action"], (it: PlannedRows) => string> = {
  insert: ({ relation, rows, of, leftOut = {} }) =>
    [`write ${many(rows)} into ${relation}${of === undefined ? "" : `, of ${of} that v6 offers`}`, leftOutText(leftOut)]
      .filter((part) => part !== "")
      .join("; "),
  update: ({ relation, rows }) => `change ${many(rows)} of ${relation}`,
  restore: ({ relation, rows }) => `bring ${many(rows, "archived row")} of ${relation} back`,
};

function locksText(locks: readonly PlannedLock[]): string {
  if (locks.length === 0) return "take no v6 locks";
  const every = (key: keyof PlannedLock): string => [...new Set(locks.map((lock) => lock[key]))].join(", ");
  return `lock ${every("relation")} for at most ${every("holdMs")} ms (${every("mode")})`;
}

/** @returns what a change would do, in a sentence; empty where there is nothing to say. Warnings are said by themselves. */
function planSentence(plan: Plan): string {
  const { made = [], replaced = [], dropped = [], rows = [], notes = [] } = plan;
  const does = [
    ...(made.length > 0 ? [`make ${many(made.length, "object")}`] : []),
    ...(replaced.length > 0 ? [`alter ${listed(replaced)}`] : []),
    ...(dropped.length > 0 ? [`drop ${listed(dropped)}`] : []),
    ...rows.map((it) => verbs[it.action](it)),
    ...(plan.locks ? [locksText(plan.locks)] : []),
  ];
  const told = notes.filter((note) => note.severity === "info").map((note) => note.text);
  return [...(does.length > 0 ? [`will ${does.join("; ")}`] : []), ...told].join("; ");
}

/**
 * @returns a plan as one diagnostic: the sentence, and on a line of its own its JSON, for who reads `preview --json`:
 *   `{"plan":{objects:{made,replaced,dropped},locks,rows,notes}}`. Objects are counted there: their names are inputs.
 */
export function planText(plan: Plan): string {
  const sentence = planSentence(plan);
  if (sentence === "") return "";
  const { made = [], replaced = [], dropped = [], locks = [], rows = [], notes = [] } = plan;
  const objects = { made: made.length, replaced: replaced.length, dropped: dropped.length };
  return `${sentence}\n${JSON.stringify({ plan: { objects, locks, rows, notes } })}`;
}

/** @returns what is said of archived rows that the module refused, with what to do; no values */
export function remainingText({ original, archivedAs, rows, changed, rejects }: Remaining): string {
  const why = rejects.map((one) => `${one.rows} by ${refuser(one)}`);
  const waits = rejects.some(isUnreached);
  const todo = [
    ...(rejects.every(isUnreached) ? [] : ["mend them there, or delete those that are given up"]),
    ...(rejects.some(isMet)
      ? [
          "to have one in place of the other that has its key, delete that and touch this (UPDATE of a column to itself)",
        ]
      : []),
    ...(waits
      ? [
          `do not delete those refused with ${unreached}: each comes by itself once what it refers to is back. If that is given up, touch it (UPDATE of a column to itself): it is treated as if that had been deleted under it`,
        ]
      : []),
    "the next up tries them once more",
  ];
  const next = changed
    ? `some of them${waits ? ", or what they refer to," : ""} were changed since: up tries them once more`
    : todo.join("; ");
  return `${many(rows, "archived row")} of ${original} ${rows === 1 ? "stays" : "stay"} in ${archivedAs}, refused: ${why.join(", ")}; their keys: ${showRejects(archivedAs)}; ${next}`;
}

/** unique_violation, exclusion_violation (PostgreSQL manual, appendix A) */
const isMet = ({ sqlstate }: Reject): boolean => sqlstate === "23505" || sqlstate === "23P01";

const isUnreached = ({ sqlstate }: Reject): boolean => sqlstate === unreached;

function refuser({ object, sqlstate }: Reject): string {
  if (sqlstate === changedValue && object) return `${object}, whose type now would change the value`;
  return `${object ?? "a trigger"} (SQLSTATE ${sqlstate})`;
}

const deeds: Record<Drift["kind"], string> = { missing: "dropped", changed: "changed", unexpected: "added" };

/** @param same objects to which the same was done */
export function driftText(same: readonly Drift[]): string {
  const names = same.map(({ object }) => shown(object));
  const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
  const deed = same[0] ? deeds[same[0].kind] : "";
  return `drift: ${names.slice(0, 5).join(", ")}${more} ${names.length > 1 ? "were" : "was"} ${deed} by hand`;
}

/** Of a definition's lines so many are told, of so many characters; the error of an up that refuses tells more. */
const [toldLines, toldLength] = [4, 160];

/** @returns a line for what was done by hand, with what differs; one for all objects to which the same was done */
export function driftTexts(found: readonly Drift[]): string[] {
  const sets = new Map<string, Drift[]>();
  for (const drift of found) {
    const { kind, lines, object } = drift;
    const key = [kind, ...(lines.length > 0 ? lines : [object])].join("\n");
    sets.set(key, [...(sets.get(key) ?? []), drift]);
  }
  return [...sets.values()].map((same) => {
    const lines = (same[0]?.lines ?? []).map(shown);
    const cut = (line: string): string => (line.length > toldLength ? `${line.slice(0, toldLength)} …` : line);
    const more = lines.length > toldLines ? [`${lines.length - toldLines} more lines`] : [];
    const told = [...lines.slice(0, toldLines).map(cut), ...more];
    return told.length > 0 ? `${driftText(same)}: ${told.join("; ")}` : driftText(same);
  });
}

const count = (n: number): string => Math.round(n).toLocaleString("en");

/** @param seconds at least 0 */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** What a phase is called; of those that count rows, what is said of the rows. */
const phases: Record<Phase, string> = {
  connection: "waits for a lock",
  operator: "waits for the lock of this database",
  "new session": "the server ended a session that stood still; its transaction is rolled back; going on with a new one",
  "ledger format": "the ledger is brought up to date",
  "v6 locks": "waits for v6 tables",
  "rows locked": "waits for rows that others have locked",
  writers: "waits for transactions that have written to it",
  "dropped by hand": "dropped by hand already",
  index: "building the index",
  restore: "archived rows dealt with",
  begin: "beginning",
  follow: "its triggers note from now on what v6 changes",
  plan: "keys planned so far",
  move: "rows",
  "look again": "rows looked at again",
  "catch up": "rows caught up with that v6 changed meanwhile",
  prove: "comparing source and target",
  compare: "rows compared with v6",
  "once more": "v6 changed more meanwhile; catching up once more",
  "take back": "rows taken back",
  unthrottled: "goes unthrottled",
};

/** @returns the line beside a resource */
export function progressLine(it: Progress): string {
  const { phase, subject, done, total, rate, etaSeconds, batch, reason, tries, againSeconds, waitedSeconds, settings } =
    it;
  const share = (n: number, of: number): string => `${of > 0 ? Math.min(100, Math.floor((100 * n) / of)) : 100} %`;
  const counted = done === undefined ? "" : total === undefined ? `: ${count(done)}` : ` (${share(done, total)})`;
  const head = total === undefined ? "" : `${count(done ?? 0)} of ${count(total)} `;
  // What counts goes slower because of it; what does not, waits for it.
  const [waits, slower] = done === undefined ? [reason, undefined] : [undefined, reason];
  const parts = [
    `${tries ? `try ${tries}: ` : ""}${subject ? `${subject}: ` : ""}${head}${phases[phase]}${counted}${waits ? `: ${waits}` : ""}`,
    rate && `${count(rate)} rows/s`,
    etaSeconds !== undefined && `${duration(etaSeconds)} left`,
    batch && `batches of ${count(batch)}`,
    waitedSeconds !== undefined && `${waitedSeconds} s`,
    againSeconds !== undefined && `again in ${againSeconds.toFixed(1)} s`,
    slower && `slower: ${slower}`,
    settings,
  ].filter(Boolean);
  return parts.join(", ");
}

/**
 * @param holdMs for how long v6 is locked at most
 * @returns the warning about a module that is applied and no longer declared: Pulumi asks nobody what a delete would do
 */
export function leavingText({ module, rows, objects, locks }: Leaving, holdMs: number): string {
  const each = rows.map(({ table, rows: n, about }) => `${about ? "about " : ""}${many(n)} of ${table}`);
  const does = [
    `takes ${many(objects, "object")} away`,
    each.length > 0 ? `archives ${each.join(", ")}, which come back with it` : "leaves no rows to archive",
    locksText(locks.map((relation) => ({ relation, mode: "ACCESS EXCLUSIVE", holdMs }))).replace(/^(lock|take)/, "$1s"),
  ];
  return `${module} is applied in this database and not among the stack's modules: taking it out ${does.join("; ")}. If that is not meant, put sql/${module} back, or ${raise}`;
}

/** @returns the warning about a data migration that wrote rows and is no longer declared */
export function movedText({ name, rows }: { name: string; rows: number }): string {
  return `data migration ${name} has rows in this database and is not among the stack's: taking it out removes ${many(rows)} that it wrote, but for what was changed or referred to since, which stays. If that is not meant, ${raise}`;
}

/** @returns what a flag says, in words; who is named in it is counted only */
function flagWords({ enabled, rolloutPercentage, enabledForUsers }: LeavingFlag["now"]): string {
  if (!enabled) return "off";
  const named = enabledForUsers.length > 0 ? ` and ${many(enabledForUsers.length, "named account")}` : "";
  return `on for ${rolloutPercentage} %${named}`;
}

/** @returns the warning about flags that the stack wrote and no longer declares */
export function leavingFlagsText(leaving: readonly LeavingFlag[]): string {
  const each = leaving.map(({ flag, now, made, then }) => {
    const before = flagWords(now);
    if (!made && !then) return `${flag} (${before})`;
    const after = then ? flagWords(then) : "its row goes";
    return `${flag} (${before}, then ${before === after ? "other users or configuration" : after})`;
  });
  return `flags that this stack wrote are not among the stack's any more: taking them out puts them back to what module 001 delivers: ${each.join(", ")}. If that is not meant, ${raise}`;
}

/** @returns the line beside a backup that is being taken */
export function backupLine({ phase, seconds, bytes, tablesCounted, tables }: BackupProgress): string {
  const size = (bytes / 1e6).toFixed(1);
  return `${phase}: ${size} MB, ${tablesCounted} of ${tables} tables counted, ${seconds.toFixed(0)} s`;
}

/** @returns the line beside a backup that is being proven */
export function proofLine({ phase, seconds }: ProofProgress): string {
  return `proof: ${phase}, ${seconds.toFixed(0)} s`;
}

/** @returns the line beside a backup that is being stored off the machine */
export function storeLine({ phase, bytes, total, seconds }: StoreProgress): string {
  return `${phase}: ${(bytes / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB, ${seconds} s`;
}

/** @returns what is said of a backup's proof */
export function provenText({ proof, restoreSeconds }: Pick<KnownBackup, "proof" | "restoreSeconds">): string {
  if (proof === "not proven") return "not proven: nobody has restored it";
  return `${proof}: restored in ${restoreSeconds.toFixed(1)} s, and compared`;
}

/** What a create finds there already; as in a replacement, which Pulumi makes of a create and a delete. */
export const adopted = {
  severity: "info",
  text: "it is in the database already and is taken over as it is; if this is a replacement, nothing is deleted",
} as const;

/** What a create finds of a run that was cut off. */
export const resumed = {
  severity: "info",
  text: "an earlier run of it was cut off: what that committed is kept, and this goes on from there",
} as const;
