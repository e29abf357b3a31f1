import { isDeepStrictEqual } from "node:util";
import type { FencedWriter } from "../database";
import { GuardianError } from "../base/errors";
import { rows, type Queryable } from "../base/sql";
import { raiseFormat } from "./format";
import {
  databaseRenamed,
  isCopied,
  isRenamed,
  readLedger,
  stackOf,
  urnIn,
  type LedgerRow,
  type Physical,
} from "./identity";
import { keepToOwner } from "./rights";
import { archiveSchema, ledgerSchema, ledgerFormat, ledgerTables } from "./schema";
import { addStep, detailOf, readStep, readSteps, setStep, type Step } from "./steps";
import { pulumiCommand } from "../../spec";

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
  if (isRenamed(ledger, here)) throw databaseRenamed(ledger, here);
  if (isCopied(ledger, here)) {
    // An older release did not note by which the two can be told apart.
    const perhaps = ledger.databaseOid === null && ledger.systemIdentifier === here.systemIdentifier;
    throw new GuardianError("ledger-of-another-database", {
      what: `the ledger in this database was made for another one: this is a copy, or a restored dump${perhaps ? ", or it was renamed" : ""}`,
      where: `here: ${here.database} of cluster ${here.systemIdentifier}; ledger: ${ledger.database} of cluster ${ledger.systemIdentifier}`,
      todo: [
        `if this database takes the other's place: ${pulumiCommand(`config set guardian:adopt ${ledger.ledgerId}`)}`,
        `else drop the schemas ${ledgerSchema} and ${archiveSchema} of the copy`,
        ...(perhaps
          ? [`if it was renamed: give it the name ${ledger.database} back, up once, and rename it then`]
          : []),
      ],
    });
  }
  const foreign = steps.filter((step) => step.state !== "undone" && stackOf(step.urn) !== stack);
  if (foreign.length === 0) return;
  const other = [...new Set(foreign.map((step) => stackOf(step.urn)))].join(", ");
  throw new GuardianError("ledger-of-another-stack", {
    what: `another stack migrates this database: ${other}`,
    where: `database ${here.database}, ledger ${ledger.ledgerId}, ${foreign.length} steps that are not undone`,
    todo: [
      "use that stack, or destroy it first",
      `to take the migration over from it, for good: ${pulumiCommand(`config set guardian:adopt ${ledger.ledgerId}`)}`,
    ],
  });
}

/**
 * Makes the ledger, or goes on with the one that is there; a new one has a new uuid.
 * @param publications names of those that new tables may join: kept for whatever makes tables later
 */
export async function openLedger(
  fenced: FencedWriter,
  here: Physical,
  adopt: string | undefined,
  publications: string[] = [],
): Promise<string> {
  const { urn, heldAs } = fenced.options;
  const stack = stackOf(urn);
  return fenced.writer.transaction(async (db) => {
    const there = await readLedger(db);
    if (there) {
      refuseForeign(there, here, await readSteps(db), stack, adopt);
      await raiseFormat(db);
    } else await makeTables(db, here, stack);
    if (adopt !== undefined && adopt === there?.ledgerId) await takeOver(db, stack);
    await db.query(
      `UPDATE ${ledgerSchema}.ledger SET stack = $1, system_identifier = $2, database = $3, database_oid = $4,
         former_names = $5, epoch = epoch + 1`,
      [stack, here.systemIdentifier, here.database, here.databaseOid, formerNames(there, here)],
    );
    const row = await readLedger(db);
    if (!row)
      throw new GuardianError("ledger-broken", { what: "the ledger has no row", where: `${ledgerSchema}.ledger` });
    const step = await readStep(db, urn);
    const detail = { publications };
    if (step?.state !== "done") {
      const begun = await addStep(db, { urn, kind: "Ledger", state: "running", heldAs });
      await setStep(db, begun, { state: "done", physicalId: row.ledgerId, detail });
    } else if (!isDeepStrictEqual(detailOf(step, "Ledger").publications ?? [], publications)) {
      await setStep(db, { id: step.id, kind: "Ledger" }, { state: "done", detail });
    }
    return row.ledgerId;
  });
}

/** The names by which states of this database may know it; a copy has none but its own. */
function formerNames(ledger: LedgerRow | undefined, here: Physical): string[] {
  if (!ledger || isCopied(ledger, here)) return [];
  return [...new Set([...ledger.formerNames, ledger.database])].filter((name) => name !== here.database);
}

/**
 * @returns names of the publications that a stack lets new tables join
 * @lazily
 */
export async function acceptedPublications(db: Queryable, stack: string): Promise<readonly string[]> {
  const steps = (await readSteps(db)).filter((step) => step.kind === "Ledger" && stackOf(step.urn) === stack);
  return steps.flatMap((step) => detailOf(step, "Ledger").publications ?? []);
}

async function makeTables(db: Queryable, here: Physical, stack: string): Promise<void> {
  const there = await rows<{ name: string }>(
    db,
    "SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1) ORDER BY 1",
    [[archiveSchema, ledgerSchema]],
  );
  if (there.length > 0) {
    throw new GuardianError("ledger-missing", {
      what: "schemas of the migration are in this database, and no ledger that explains them: a part of a dump was restored, perhaps",
      where: `database ${here.database}, schema ${there.map((row) => row.name).join(", ")}`,
      todo: "look at what is in them; drop them if it is not needed, or rename them: ALTER SCHEMA … RENAME TO …",
    });
  }
  await db.script(ledgerTables);
  await keepToOwner(db);
  await db.query(
    `INSERT INTO ${ledgerSchema}.ledger (format, system_identifier, database, stack) VALUES ($1, $2, $3, $4)`,
    [ledgerFormat, here.systemIdentifier, here.database, stack],
  );
}

/**
 * The rows of the other stack become this one's: same types and names, another stack in the URN. Where this stack has a
 * history of its own under that name, the two become one in the order in which things happened, told by the rows' ids.
 */
async function takeOver(db: Queryable, stack: string): Promise<void> {
  const others = await rows<{ urn: string }>(db, `SELECT DISTINCT urn FROM ${ledgerSchema}.step`);
  for (const { urn } of others.filter((row) => stackOf(row.urn) !== stack)) {
    const mine = urnIn(stack, urn);
    // Negative ids on the way: unique, and below every attempt, in whatever order the rows are updated.
    await db.query(`UPDATE ${ledgerSchema}.step s SET urn = $2, attempt = -s.id WHERE s.urn IN ($1, $2)`, [urn, mine]);
    await db.query(
      `UPDATE ${ledgerSchema}.step s SET attempt = n.attempt
       FROM (SELECT id, row_number() OVER (PARTITION BY part ORDER BY id) AS attempt FROM ${ledgerSchema}.step WHERE urn = $1) n
       WHERE n.id = s.id`,
      [mine],
    );
    for (const table of ["module", "batch", "range", "reject"]) {
      await db.query(`UPDATE ${ledgerSchema}.${table} SET urn = $2 WHERE urn = $1`, [urn, mine]);
    }
  }
}
