import { GuardianError } from "../base/errors";
import { first, type Askable, type Queryable } from "../base/sql";
import { ledgerSchema, ledgerFormat } from "./schema";

/** Which database this is, in words that a rename of the host does not change. */
export interface DatabaseIdentity {
  ledgerId: string;
  systemIdentifier: string;
  database: string;
}

export interface LedgerRow extends DatabaseIdentity {
  stack: string;
  epoch: string;
  /** The version of its tables, at most ours. */
  format: number;
}

/** The physical database, whether or not it has a ledger. */
export type Physical = Omit<DatabaseIdentity, "ledgerId">;

/** Reads the cluster's system identifier (PostgreSQL manual, 9.27, pg_control_system) and the database's name. */
export async function readPhysical(db: Queryable): Promise<Physical> {
  const row = await first<{ sys: string; db: string }>(
    db,
    "SELECT system_identifier::text AS sys, pg_catalog.current_database() AS db FROM pg_catalog.pg_control_system()",
  );
  if (!row) throw new GuardianError("unexpected", { what: "pg_control_system() gave no row" });
  return { systemIdentifier: row.sys, database: row.db };
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
    `SELECT id AS "ledgerId", system_identifier AS "systemIdentifier", database, stack, epoch, format FROM ${ledgerSchema}.ledger`,
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

/** A ledger that came here in a copy (a restored dump, a template, a base backup under another name) says nothing of this database. */
export function isCopied(ledger: LedgerRow, here: Physical): boolean {
  return ledger.systemIdentifier !== here.systemIdentifier || ledger.database !== here.database;
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
