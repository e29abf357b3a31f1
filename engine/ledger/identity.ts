import { escapeIdentifier } from "pg";
import { GuardianError } from "../base/errors";
import { first, type Askable, type Queryable } from "../base/sql";
import { ledgerSchema, ledgerFormat } from "./schema";
import { pulumiCommand } from "../../spec";

/** Which database this is, in words that a rename of the host does not change. */
export interface DatabaseIdentity {
  ledgerId: string;
  systemIdentifier: string;
  database: string;
}

export interface LedgerRow extends DatabaseIdentity {
  /** The database's, as text; null where an older release did not note it. */
  databaseOid: string | null;
  /** Names that the database had before. */
  formerNames: string[];
  /** As stackOf gives it. */
  stack: string;
  epoch: string;
  /** The version of its tables, at most ours. */
  format: number;
}

/** The physical database, whether or not it has a ledger. */
export interface Physical extends Omit<DatabaseIdentity, "ledgerId"> {
  /** Of pg_database, as text: a rename keeps it, a copy has another. */
  databaseOid: string;
}

/** Reads the cluster's system identifier (PostgreSQL manual, 9.27, pg_control_system), and the database's name and oid. */
export async function readPhysical(db: Queryable): Promise<Physical> {
  const row = await first<{ sys: string; db: string; oid: string }>(
    db,
    `SELECT c.system_identifier::text AS sys, d.datname AS db, d.oid::text AS oid
     FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
  );
  if (!row) throw new GuardianError("unexpected", { what: "pg_control_system() gave no row" });
  return { systemIdentifier: row.sys, database: row.db, databaseOid: row.oid };
}

/**
 * Reads the ledger's one row; undefined where this database has no ledger.
 * @throws GuardianError for a ledger of a newer product
 */
export async function readLedger(db: Askable): Promise<LedgerRow | undefined> {
  const there = await first<{ there: boolean }>(db, "SELECT pg_catalog.to_regclass($1) IS NOT NULL AS there", [
    `${ledgerSchema}.ledger`,
  ]);
  if (!there?.there) return undefined;
  const row = await first<LedgerRow & Record<string, unknown>>(
    db,
    // By way of jsonb what an older format does not have is null.
    `SELECT id AS "ledgerId", system_identifier AS "systemIdentifier", database, stack, epoch, format,
            pg_catalog.to_jsonb(l) ->> 'database_oid' AS "databaseOid",
            ARRAY(SELECT pg_catalog.jsonb_array_elements_text(pg_catalog.to_jsonb(l) -> 'former_names')) AS "formerNames"
     FROM ${ledgerSchema}.ledger l`,
  );
  if (row && row.format > ledgerFormat) {
    throw new GuardianError("ledger-too-new", {
      what: `the ledger in this database has format ${row.format}, this product knows up to ${ledgerFormat}`,
      where: `schema ${ledgerSchema}`,
      todo: "use the release of this product that wrote it, or a newer one",
    });
  }
  return row;
}

/** The database that the ledger speaks of, under another name: a copy in the same cluster has another oid. */
export const isRenamed = (ledger: LedgerRow, here: Physical): boolean =>
  ledger.systemIdentifier === here.systemIdentifier &&
  ledger.database !== here.database &&
  ledger.databaseOid === here.databaseOid;

/** A ledger that came here in a copy (a restored dump, a template, a base backup under another name) says nothing of this database. */
export const isCopied = (ledger: LedgerRow, here: Physical): boolean =>
  (ledger.systemIdentifier !== here.systemIdentifier || ledger.database !== here.database) && !isRenamed(ledger, here);

/**
 * Whether a state is of the database that we are connected to.
 * @param adopts the ledger that the program takes over: the new name of a database is then its own
 */
export function isSame(
  state: DatabaseIdentity,
  ledger: LedgerRow | undefined,
  here: Physical,
  adopts: string | undefined,
): boolean {
  if (ledger?.ledgerId !== state.ledgerId || here.systemIdentifier !== state.systemIdentifier) return false;
  if (here.database === state.database) return true;
  const renamed = isRenamed(ledger, here);
  if (isCopied(ledger, here) || (renamed && adopts !== ledger.ledgerId)) return false;
  return state.database === ledger.database || ledger.formerNames.includes(state.database);
}

/** @returns what a state keeps of where it was made */
export const identityOf = (ledgerId: string, { systemIdentifier, database }: Physical): DatabaseIdentity => ({
  ledgerId,
  systemIdentifier,
  database,
});

/** What the operator of a database is told that was renamed; one setting takes the new name over. */
export function databaseRenamed(ledger: LedgerRow, here: Physical): GuardianError {
  return new GuardianError("database-renamed", {
    what: `this database was renamed since the migration last ran in it (or is in a copy of the whole cluster, made by a base backup): it was ${ledger.database} and is ${here.database}; nothing was changed`,
    where: `database ${here.database} (oid ${here.databaseOid}) of cluster ${here.systemIdentifier}, ledger ${ledger.ledgerId}`,
    todo: [
      `if it is no copy, take the new name over: ${pulumiCommand(`config set guardian:adopt ${ledger.ledgerId}`)}, then up`,
      `give it its old name back: ALTER DATABASE ${escapeIdentifier(here.database)} RENAME TO ${escapeIdentifier(ledger.database)}`,
    ],
  });
}

/** One line that names a database. */
export function describe(identity: DatabaseIdentity): string {
  return `database ${identity.database} of cluster ${identity.systemIdentifier}, ledger ${identity.ledgerId}`;
}

/** The stack that a URN belongs to: `urn:pulumi:<stack>::<project>::…`. */
export function stackOf(urn: string): string {
  return urn
    .split("::")
    .slice(0, 2)
    .join("::")
    .replace(/^urn:pulumi:/, "");
}

/** @returns the URN that the same resource has in another stack, whose name is as stackOf gives it */
export const urnIn = (stack: string, urn: string): string =>
  `urn:pulumi:${stack}::${urn.split("::").slice(2).join("::")}`;
