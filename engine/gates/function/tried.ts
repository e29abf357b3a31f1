import { setTimeout as sleep } from "node:timers/promises";
import { pulumiCommand } from "../../../spec";
import { v6Tables } from "../../../spec/roles";
import { first, rows, type Askable, type Queryable } from "../../base/sql";
import { countsRows, inTrial, writtenTables, type Trial } from "../../connect";
import { readStanding } from "../../ledger/objects";
import { lackingRoles } from "../api";
import {
  couldNotRun,
  couldNotRunBy,
  isPassing,
  notApplicable,
  some,
  type Check,
  type Finding,
  type Site,
} from "../check";
import { StepFailed, Steps } from "./steps";

/** Whom a check of function is about, chosen by reading. */
export interface Subject {
  /** An account that is not deleted. */
  readonly account: string;
  /** Another one; absent in a database with one account. */
  readonly other?: string;
  /** A document of the account's. */
  readonly document?: string;
}

interface Tried {
  readonly name: string;
  readonly asks: string;
  /** Functions of v7 that it calls, without their arguments: it does not apply where their modules are not applied. */
  readonly needs: readonly string[];
  /** What must be there besides an account. */
  readonly of?: "document" | "two accounts";
  run(steps: Steps, subject: Subject): Promise<void>;
}

/** Milliseconds until what met a lock is tried again: whoever works with a row has committed by then. */
const againMs = 1000;

/** So many subjects it is tried with where those before were deleted meanwhile: an application closes accounts at any time. */
const mostSubjects = 3;

/** SQL: an account `u` that is not marked as deleted. Where v6 has no column deleted_at, the name is found one level further out. */
const alive = `FROM auth.users u CROSS JOIN (SELECT NULL::timestamptz AS deleted_at) otherwise
  WHERE (SELECT deleted_at FROM (SELECT u.*) account) IS NULL`;

/**
 * A check that calls functions as people and workers do, on v7's tables, for an account and a document that are there, in a
 * transaction that is never committed (engine/connect/trial.ts). What it writes is v7's alone, which is looked at before the
 * rollback. Where somebody holds a lock, it tries once more, a second later; where the application has deleted the account or
 * the document meanwhile, with others.
 */
export function tried({ name, asks, needs, of, run }: Tried): Check {
  return {
    name,
    asks,
    cost: "queries",
    worse: ["faults"],
    named: true,
    async run(site) {
      const apart = await reasonAgainst(site.db, needs);
      if (apart) return apart;
      const becomes = (await lackingRoles(site.db)).length === 0;
      let next = await choose(site.db, of === "document");
      for (let i = 0; i < mostSubjects; i++) {
        const subject = next;
        if (subject === undefined)
          return notApplicable(`there is no ${of === "document" ? "document that belongs to an account" : "account"}`);
        if (of === "two accounts" && subject.other === undefined) return notApplicable("there is one account only");
        const found = await patiently(site.signal, () => tryOnce(site, { name, run }, subject, becomes));
        if (found.verdict !== "failed") return found;
        // A failure says nothing of the functions where it was tried with what is not there any more.
        next = await inTrial(
          site.host.settings,
          `trying ${name}`,
          (now) => another(now, subject, of === "document"),
          site.signal,
        ).catch(() => {
          site.signal.throwIfAborted();
          return subject; // nobody can tell: what was found stands
        });
        if (next === subject) return found;
      }
      const gone = `the account or the document was deleted meanwhile, ${mostSubjects} times`;
      return { ...couldNotRun(gone, "ask again: npm run gates"), again: true };
    },
  };
}

async function patiently(signal: AbortSignal, once: () => Promise<Finding>): Promise<Finding> {
  return once().catch(async (err: unknown) => {
    if (!(err instanceof StepFailed && err.state === "55P03")) return giveUp(err);
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
    return once().catch(giveUp);
  });
}

function giveUp(err: unknown): Finding {
  if (!(err instanceof StepFailed)) throw err;
  return couldNotRunBy(
    err.state,
    `${err.step}: ${err.state === "55P03" ? "somebody holds a lock, " : ""}SQLSTATE ${err.state}`,
    "ask again: npm run gates",
  );
}

/** Why nothing is tried: no module, a role that may not, or somebody's trigger, which may do what no rollback takes back. */
async function reasonAgainst(db: Queryable, needs: readonly string[]): Promise<Finding | undefined> {
  const ours = await readStanding(db);
  const functions = ours("function");
  const standing = functions.map((one) => one.slice(0, one.indexOf("(")));
  const missing = needs.filter((one) => !standing.includes(one));
  if (missing.length > 0) return notApplicable(`no module that is applied makes ${missing.join(", ")}`);
  const tables = ours("table");
  const owned = await first<{ may: boolean }>(
    db,
    `SELECT pg_catalog.bool_and(pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE')) AS may FROM pg_catalog.pg_class c
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY ($1)`,
    [tables],
  );
  if (!owned?.may) return couldNotRun("this role does not own v7's tables", "ask as the role that runs the migration");
  const foreign = await foreignTriggers(db, tables, functions);
  if (foreign.length === 0) return undefined;
  return couldNotRun(
    `no module made what these call, and no rollback takes back a call to the outside: ${some(foreign).join(", ")}`,
    "see what they do; ask again without them (ALTER TABLE … DISABLE TRIGGER …), or accept that function was not tried",
  );
}

/**
 * @param functions those of v7, as module.yaml has them
 * @returns triggers on tables of v7 that would fire in a trial, and call another function: a webhook (extension http, dblink)
 */
async function foreignTriggers(db: Queryable, tables: string[], functions: string[]): Promise<string[]> {
  const found = await rows<{ told: string }>(
    db,
    `SELECT pg_catalog.format('trigger %I of %I.%I', t.tgname, n.nspname, c.relname) AS told
     FROM pg_catalog.pg_trigger t
       JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace
     WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
       AND n.nspname || '.' || c.relname = ANY ($1) AND f.nspname || '.' || p.proname || '()' <> ALL ($2) ORDER BY 1`,
    [tables, functions],
  );
  return found.map(({ told }) => told);
}

/** By the order of keys, so that the same is chosen again while it is there; if it can be, an account with a document. */
async function choose(db: Askable, withDocument: boolean): Promise<Subject | undefined> {
  // A role from which policies hide rows would be told that there are none.
  await db.query("SET LOCAL row_security = off");
  const found =
    (await first<{ account: string; document: string }>(
      db,
      `SELECT d.user_id AS account, d.id AS document FROM public.documents d
       WHERE d.user_id IN (SELECT u.id ${alive}) ORDER BY d.id LIMIT 1`,
    )) ??
    (withDocument
      ? undefined
      : await first<{ account: string }>(db, `SELECT u.id AS account ${alive} ORDER BY u.id LIMIT 1`));
  if (!found) return undefined;
  const text = `SELECT u.id ${alive} AND u.id <> $1 ORDER BY u.id LIMIT 1`;
  const other = await first<{ id: string }>(db, text, [found.account]);
  return { ...found, ...(other ? { other: other.id } : {}) };
}

/** @returns the subject itself where all of it is still there, else another one */
async function another(db: Askable, subject: Subject, withDocument: boolean): Promise<Subject | undefined> {
  const { account, other, document } = subject;
  const accounts = [account, ...(other === undefined ? [] : [other])];
  const there = await first<{ n: number }>(db, `SELECT count(*)::integer AS n ${alive} AND u.id = ANY ($1)`, [
    accounts,
  ]);
  const text = "SELECT count(*)::integer AS n FROM public.documents d WHERE d.id = $1 AND d.user_id = $2";
  const kept = document === undefined || (await first<{ n: number }>(db, text, [document, account]))?.n === 1;
  return there?.n === accounts.length && kept ? subject : choose(db, withDocument);
}

async function tryOnce(
  { host, signal }: Site,
  { name, run }: Pick<Tried, "name" | "run">,
  subject: Subject,
  becomes: boolean,
): Promise<Finding> {
  const began = performance.now();
  return inTrial(
    host.settings,
    `trying ${name}`,
    async (trial) => {
      const steps = new Steps(trial, becomes);
      let stopped: string | undefined;
      try {
        await run(steps, subject);
      } catch (err) {
        if (!(err instanceof StepFailed) || isPassing(err.state)) throw err;
        stopped = `${err.step}: SQLSTATE ${err.state}`;
      }
      const written = stopped === undefined ? await writtenOfV6(trial) : [];
      const faults = [
        ...steps.faults,
        ...(stopped === undefined ? [] : [stopped]),
        ...(written ?? []).map((table) => `${table} was written to, and rolled back`),
      ];
      const told = {
        steps: steps.done.length,
        faults: faults.length,
        ...steps.measured,
        trialMs: Math.round(performance.now() - began),
      };
      const { warnings } = steps;
      if (written === undefined)
        warnings.push({
          line: "whether v6 was written to is not known: track_counts is off, and the server counts nothing",
          mend: "SET track_counts = on, of the server, this database and this role",
        });
      if (faults.length === 0 && warnings.length === 0)
        return { verdict: "passed", evidence: evidence(steps), figures: told };
      if (faults.length === 0)
        return {
          verdict: "warned",
          evidence: some(warnings.map(({ line }) => line)),
          figures: told,
          mend: some(warnings.map(({ mend }) => mend)),
        };
      return {
        verdict: "failed",
        evidence: some(faults),
        figures: told,
        mend: [
          `${pulumiCommand("refresh")} shows what somebody changed; if nothing, a module has a fault: take its flag to 0 %`,
        ],
      };
    },
    signal,
  );
}

const evidence = ({ done, becomes, notes }: Steps): string[] => [
  `${done.length} steps as they should be, and rolled back`,
  ...notes,
  ...(becomes ? [] : ["asked with the owner's rights: this role is no member of the API's roles"]),
];

/**
 * @returns v6's tables, and partitions of theirs, that this transaction inserted into, updated or deleted from, as the server
 *   counted; undefined where it does not count
 */
async function writtenOfV6(trial: Trial): Promise<string[] | undefined> {
  if (!(await countsRows(trial))) return undefined;
  const found = await rows<{ name: string }>(trial, writtenTables, [v6Tables]);
  return found.map(({ name }) => name);
}
