import type { WriteSession } from "../database";
import { GuardianError } from "../errors";
import { first, rows, type Queryable } from "../sql";
import { isCopied, readLedger, stackOf, type LedgerRow, type Physical } from "./identity";
import { archiveSchema, ledgerFormat, ledgerSchema, ledgerTables } from "./schema";
import { addStep, readStep, readSteps, setStep, type Step } from "./steps";

export const ledgerKind = "Ledger";

/** Kinds that leave nothing in the database outside the ledger. */
const harmless = new Set([ledgerKind, "Backup"]);

/**
 * May this stack work with the ledger that is there?
 * @param adopt the id of a ledger that it takes over
 * @throws GuardianError with the way out
 */
export function refuseForeign(
  ledger: LedgerRow,
  here: Physical,
  steps: readonly Step[],
  stack: string,
  adopt: string | undefined,
): void {
  if (adopt === ledger.ledgerId) return;
  if (isCopied(ledger, here)) {
    throw new GuardianError({
      what: "the ledger in this database was made for another one: this is a copy, or a restored dump",
      where: `here: ${here.database} of cluster ${here.systemIdentifier}; ledger: ${ledger.database} of cluster ${ledger.systemIdentifier}`,
      todo: [
        `if this database takes the other's place: pulumi config set guardian:adopt ${ledger.ledgerId}`,
        "else drop the schemas guardian_migration and guardian_archive of the copy",
      ],
    });
  }
  const foreign = steps.filter((step) => step.state !== "undone" && stackOf(step.urn) !== stack);
  if (foreign.length === 0) return;
  const other = [...new Set(foreign.map((step) => stackOf(step.urn)))].join(", ");
  throw new GuardianError({
    what: `another stack migrates this database: ${other}`,
    where: `database ${here.database}, ledger ${ledger.ledgerId}, ${foreign.length} steps that are not undone`,
    todo: [
      "use that stack, or destroy it first",
      `to take the migration over from it, for good: pulumi config set guardian:adopt ${ledger.ledgerId}`,
    ],
  });
}

/** Makes the ledger, or goes on with the one that is there; a new one has a new uuid. */
export async function openLedger(session: WriteSession, here: Physical, adopt: string | undefined): Promise<string> {
  const { urn } = session.options;
  const stack = stackOf(urn);
  return session.writer.transaction(async (db) => {
    const there = await readLedger(db);
    if (there) refuseForeign(there, here, await readSteps(db), stack, adopt);
    else await makeTables(db, here, stack);
    if (adopt !== undefined && adopt === there?.ledgerId) await takeOver(db, stack);
    await db.query(
      `UPDATE ${ledgerSchema}.ledger SET stack = $1, system_identifier = $2, database = $3, epoch = epoch + 1`,
      [stack, here.systemIdentifier, here.database],
    );
    const row = await readLedger(db);
    if (!row) throw new GuardianError({ what: "the ledger has no row of its own", where: `${ledgerSchema}.ledger` });
    if ((await readStep(db, urn))?.state !== "done") {
      const step = await addStep(db, { urn, kind: ledgerKind, state: "running", epoch: row.epoch });
      await setStep(db, step.id, { state: "done", physicalId: row.ledgerId });
    }
    return row.ledgerId;
  });
}

async function makeTables(db: Queryable, here: Physical, stack: string): Promise<void> {
  await db.script(ledgerTables);
  await db.query(
    `INSERT INTO ${ledgerSchema}.ledger (format, system_identifier, database, stack) VALUES ($1, $2, $3, $4)`,
    [ledgerFormat, here.systemIdentifier, here.database, stack],
  );
}

/** The rows of the other stack become this one's: same types and names, another stack in the URN. */
async function takeOver(db: Queryable, stack: string): Promise<void> {
  const others = await rows<{ urn: string }>(db, `SELECT DISTINCT urn FROM ${ledgerSchema}.step`);
  for (const { urn } of others.filter((row) => stackOf(row.urn) !== stack)) {
    const mine = `urn:pulumi:${stack}::${urn.split("::").slice(2).join("::")}`;
    const taken = await first(db, `SELECT 1 FROM ${ledgerSchema}.step WHERE urn = $1`, [mine]);
    if (taken) {
      // History of its own under that name: the other's goes on after it.
      await db.query(
        `UPDATE ${ledgerSchema}.step SET attempt = attempt + (SELECT max(attempt) FROM ${ledgerSchema}.step WHERE urn = $2) WHERE urn = $1`,
        [urn, mine],
      );
    }
    for (const table of ["step", "module", "batch"]) {
      await db.query(`UPDATE ${ledgerSchema}.${table} SET urn = $2 WHERE urn = $1`, [urn, mine]);
    }
  }
}

/**
 * Ends this stack's work with the ledger. It stays, with the archive, for the next up; with purge both are dropped.
 * @throws GuardianError if something of the stack is still in the database
 */
export async function closeLedger(session: WriteSession, purge: boolean): Promise<void> {
  const { urn } = session.options;
  const stack = stackOf(urn);
  await session.transaction(async (db) => {
    const mine = (await readSteps(db)).filter((step) => stackOf(step.urn) === stack && step.state !== "undone");
    const standing = mine.filter(
      (step) => !harmless.has(step.kind) && (step.state === "done" || step.state === "undoing"),
    );
    if (standing.length > 0) {
      throw new GuardianError({
        what: "the ledger says that parts of the migration are still in the database, though this stack's state does not know them",
        where: [...new Set(standing.map((step) => step.urn.split("::").at(-1)))].join(", "),
        todo: "run up, which adopts them, then destroy again",
      });
    }
    if (purge) {
      const others = (await readSteps(db)).filter((step) => stackOf(step.urn) !== stack && step.state !== "undone");
      if (others.length > 0)
        throw new GuardianError({
          what: "another stack uses this ledger; it is not purged",
          where: stackOf(others[0]?.urn ?? ""),
        });
      await dropAll(db);
      return;
    }
    // What was begun and never committed left nothing behind.
    for (const step of mine) await setStep(db, step.id, { state: "undone" });
  });
  if (purge) session.purged = true;
}

/** Drops archive and ledger, and nothing that somebody else put there unasked: dependents elsewhere refuse it. */
export async function dropAll(db: Queryable): Promise<void> {
  const tables = await rows<{ name: string }>(
    db,
    "SELECT pg_catalog.format('%I.%I', schemaname, tablename) AS name FROM pg_catalog.pg_tables WHERE schemaname = ANY ($1)",
    [[archiveSchema, ledgerSchema]],
  );
  if (tables.length > 0) await db.query(`DROP TABLE ${tables.map((table) => table.name).join(", ")}`);
  await db.query(`DROP SCHEMA ${archiveSchema}`);
  await db.query(`DROP SCHEMA ${ledgerSchema}`);
}
