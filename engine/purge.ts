import type { FencedWriter } from "./database";
import { GuardianError } from "./base/errors";
import { quoteName, rows, type Queryable } from "./base/sql";
import { ownTables } from "./ledger/archived";
import { stackOf } from "./ledger/identity";
import { harmless } from "./ledger/kinds";
import { archiveSchema, ledgerSchema } from "./ledger/schema";
import { readSteps, setStep, type Step } from "./ledger/steps";
import { referencedBy } from "./module/archive/archive";
import { refuseDependents } from "./module/archive/dependents";
import { present } from "./module/present";
import { withV6Locks } from "./module/v6-locks";

/**
 * Ends this stack's work with the ledger. It stays, with the archive, for the next up; with purge both are dropped.
 * @param deadline Unix time in milliseconds until which v6 locks are tried for
 * @throws GuardianError if something of the stack is still in the database
 */
export async function closeLedger(
  fenced: FencedWriter,
  purge: boolean,
  deadline = Date.now() + 30 * 60_000,
): Promise<void> {
  const stack = stackOf(fenced.options.urn);
  const refuse = async (db: Queryable): Promise<Step[]> => {
    const open = (await readSteps(db)).filter((step) => step.state !== "undone");
    const mine = open.filter((step) => stackOf(step.urn) === stack);
    refuseStanding(mine);
    const other = open.find((step) => stackOf(step.urn) !== stack);
    if (purge && other) {
      throw new GuardianError("ledger-of-another-stack", {
        what: "another stack uses this ledger; it is not purged",
        where: stackOf(other.urn),
        todo: "destroy that stack first, or destroy this one without guardian:purge",
      });
    }
    return mine;
  };
  if (purge) {
    await purgeAll(fenced, deadline, refuse);
    return;
  }
  await fenced.transaction(async (db) => {
    // What was begun and never committed left nothing behind.
    for (const step of await refuse(db)) await setStep(db, step, { state: "undone" });
  });
}

function refuseStanding(mine: readonly Step[]): void {
  const standing = mine.filter(
    (step) => !harmless.includes(step.kind) && (step.state === "done" || step.state === "undoing"),
  );
  if (standing.length === 0) return;
  throw new GuardianError("not-in-state", {
    what: "the ledger says that parts of the migration are still in the database, though this stack's state does not know them",
    where: [...new Set(standing.map((step) => step.urn.split("::").at(-1)))].join(", "),
    todo: "run up, which adopts them, then destroy again",
  });
}

/**
 * Drops archive and ledger in one transaction, and nothing that somebody else put there. The archived tables' keys to v6
 * go with them, so v6 is locked for it as in a rollback.
 * @param deadline Unix time in milliseconds until which v6 locks are tried for
 * @param refuse throws if it must not be; asked in the same transaction
 * @throws GuardianError naming what is not ours, or depends on what is
 */
export async function purgeAll(
  fenced: FencedWriter,
  deadline: number,
  refuse: (db: Queryable) => Promise<unknown>,
): Promise<void> {
  // What somebody dropped by hand is gone already.
  const tables = await present(fenced.writer, await ownTables(fenced.writer));
  const objects = tables.map((table) => `table ${table}`);
  await withV6Locks(fenced, deadline, {
    relations: await referencedBy(fenced.writer, tables),
    mode: "ACCESS EXCLUSIVE",
    own: objects,
    before: async (db) => {
      await refuse(db);
      await refuseStrangers(db, tables);
      await refuseDependents(db, objects, "others made objects that depend on the ledger or the archive");
    },
    locked: (db) =>
      db.script(
        `DROP TABLE ${tables.map(quoteName).join(", ")}; DROP SCHEMA IF EXISTS ${archiveSchema}; DROP SCHEMA ${ledgerSchema}`,
      ),
    ledgerGoes: true,
  });
  fenced.purged = true;
}

/** @throws GuardianError naming what others keep in our two schemas: it would go with them, or keep them from going */
async function refuseStrangers(db: Queryable, tables: readonly string[]): Promise<void> {
  const strangers = await rows<{ what: string }>(
    db,
    `SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0) AS what
     FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.deptype = 'n' AND n.nspname = ANY ($1)
       AND NOT (d.classid = 'pg_catalog.pg_class'::regclass AND EXISTS (
         SELECT FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_depend o
           ON o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid AND o.refclassid = o.classid AND o.deptype IN ('a', 'i')
         WHERE c.oid = d.objid AND coalesce(o.refobjid, c.oid) = ANY ($2::regclass[])))
     ORDER BY 1`,
    [[archiveSchema, ledgerSchema], tables.map(quoteName)],
  );
  if (strangers.length === 0) return;
  throw new GuardianError("foreign-objects", {
    what: "somebody keeps objects of his own in the schemas of the ledger and the archive; nothing was dropped",
    where: strangers.map((row) => row.what).join(", "),
    todo: "move them elsewhere (ALTER … SET SCHEMA) or drop them, then run this again",
  });
}
