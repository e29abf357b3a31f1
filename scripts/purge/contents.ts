import { isDeepStrictEqual } from "node:util";
import { GuardianError } from "../../engine/base/errors";
import { identityOf, readLedger, readPhysical, type DatabaseIdentity } from "../../engine/ledger/identity";
import { archiveSchema, ledgerSchema } from "../../engine/ledger/schema";
import { readSteps } from "../../engine/ledger/steps";
import { quoteName, rows, type Queryable } from "../../engine/base/sql";

/** What a purge drops. */
export interface Found {
  identity: DatabaseIdentity;
  tables: { table: string; rows: number }[];
}

/** What would go. @throws GuardianError if it must not. */
export async function look(db: Queryable): Promise<Found | undefined> {
  const ledger = await readLedger(db);
  const schemas = await rows<{ name: string }>(
    db,
    "SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1) ORDER BY 1",
    [[archiveSchema, ledgerSchema]],
  );
  if (schemas.length === 0) return undefined;
  if (!ledger) {
    throw new GuardianError("ledger-missing", {
      what: "There is no ledger, so nobody can say whether the migration was rolled back; nothing is dropped",
      where: `found: schema ${schemas.map(({ name }) => name).join(", ")}`,
      todo: "look at what is in there, and drop it by hand if it is not needed: DROP SCHEMA … CASCADE",
    });
  }
  await refuseStanding(db);
  await db.query("SET LOCAL row_security = off");
  const names = await rows<{ table: string }>(
    db,
    `SELECT schemaname || '.' || tablename AS table FROM pg_catalog.pg_tables WHERE schemaname = ANY ($1) ORDER BY 1`,
    [[archiveSchema, ledgerSchema]],
  );
  const tables: Found["tables"] = [];
  for (const { table } of names) {
    const counted = await rows<{ n: string }>(db, `SELECT count(*) AS n FROM ${quoteName(table)}`);
    tables.push({ table, rows: Number(counted[0]?.n ?? 0) });
  }
  return { identity: identityOf(ledger.ledgerId, await readPhysical(db)), tables };
}

/**
 * Whether the archive is what an operator was shown. The ledger's own tables do not count: its rows are the migration's, and
 * its format may be raised on the way.
 */
export function isSame(shown: Found, now: Found | undefined): boolean {
  const archived = (found: Found | undefined): Found["tables"] =>
    (found?.tables ?? []).filter(({ table }) => table.startsWith(`${archiveSchema}.`));
  return isDeepStrictEqual(archived(shown), archived(now));
}

/** @throws GuardianError while the ledger has anything that is not undone, of whatever stack */
export async function refuseStanding(db: Queryable): Promise<void> {
  const standing = (await readSteps(db)).filter((step) => step.state !== "undone");
  if (standing.length === 0) return;
  const names = [...new Set(standing.map((step) => step.urn.split("::").at(-1) ?? ""))];
  const stacks = [...new Set(standing.map((step) => step.urn.split("::")[0]?.replace(/^urn:pulumi:/, "") ?? ""))];
  throw new GuardianError("not-rolled-back", {
    what: `Stack ${stacks.join(", ")} is not rolled back; nothing is dropped`,
    where: `${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`,
    todo: [
      "roll it back first: npm run pulumi -- destroy",
      "roll back and purge in one: npm run pulumi -- config set guardian:purge true, then up, then destroy",
    ],
  });
}
