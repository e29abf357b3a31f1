import { ledgerTable } from "../schema";

const ledger = ledgerTable("ledger");

/**
 * Before, a database was known by its name alone, and one that was renamed was taken for a copy. Of a ledger that is in
 * another database than the one it speaks of it is not known whether that is a copy, and nothing is noted.
 */
export const renamed = {
  to: 3,
  what: "it notes by which a database that was renamed is told from a copy",
  alters: [`table ${ledger}`],
  sql: `ALTER TABLE ${ledger} ADD COLUMN database_oid oid;
    ALTER TABLE ${ledger} ADD COLUMN former_names text[] NOT NULL DEFAULT '{}';
    COMMENT ON COLUMN ${ledger}.database_oid IS 'By which a database that was renamed is told from a copy; NULL: an older release did not note it.';
    COMMENT ON COLUMN ${ledger}.former_names IS 'Names that this database had before it was renamed; states of then are states of it.';
    UPDATE ${ledger} SET database_oid = d.oid FROM pg_catalog.pg_database d, pg_catalog.pg_control_system() c
      WHERE d.datname = pg_catalog.current_database() AND d.datname = ledger.database
        AND c.system_identifier::text = ledger.system_identifier;`,
} as const;
