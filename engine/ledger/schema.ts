/** The ledger's own schema and the one where archived rows wait. */
export const ledgerSchema = "guardian_migration";
export const archiveSchema = "guardian_archive";

/** The tables that ledgerTables makes. */
export const ledgerTableNames = [
  "range",
  "change",
  "reject",
  "batch",
  "archived",
  "object",
  "module",
  "step",
  "ledger",
] as const;

/** @returns a table's name for SQL */
export const ledgerTable = (name: (typeof ledgerTableNames)[number]): string => `${ledgerSchema}.${name}`;

/** What opening a ledger makes, as module.yaml would list it. */
export const ledgerObjects = [
  ...[ledgerSchema, archiveSchema].map((name) => `schema ${name}`),
  ...ledgerTableNames.map((name) => `table ${ledgerTable(name)}`),
];

/**
 * Raised with every change of the tables below, by a step in format/; a newer one in the database is refused by an older
 * product. What only reads must do so from every older one.
 */
export const ledgerFormat = 3;

/** The plan of a data migration, what v6 changed meanwhile, and what could not be moved. */
const onlineTables = `
CREATE TABLE ${ledgerSchema}.range (
  urn      text NOT NULL,
  place    integer NOT NULL,
  key_from text[] NOT NULL,
  key_to   text[] NOT NULL,
  keys     integer NOT NULL,
  batch_id uuid,
  PRIMARY KEY (urn, place)
);
COMMENT ON TABLE ${ledgerSchema}.range IS 'The plan of a data migration: its keys in order, both ends included.';
COMMENT ON COLUMN ${ledgerSchema}.range.batch_id IS 'The batch that moved it; NULL: still to be moved, or taken back.';

CREATE TABLE ${ledgerSchema}.change (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  migration text NOT NULL,
  key       text[]
);
COMMENT ON TABLE ${ledgerSchema}.change IS 'Keys of rows that v6 wrote or deleted while a data migration runs; empty before and after. NULL: all.';

CREATE TABLE ${ledgerSchema}.reject (
  urn         text NOT NULL,
  key         text[] NOT NULL,
  sqlstate    text NOT NULL,
  object      text,
  rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (urn, key)
);
COMMENT ON TABLE ${ledgerSchema}.reject IS 'Rows that could not be moved, by key, and why; no values of theirs.';
COMMENT ON COLUMN ${ledgerSchema}.reject.object IS 'The constraint or column that refused it.';
`;

/**
 * The ledger: what happened in this database, in the database. It is the truth; Pulumi's state mirrors it. Everything
 * here is the owner's alone.
 */
export const ledgerTables = `
CREATE SCHEMA ${ledgerSchema};
REVOKE ALL ON SCHEMA ${ledgerSchema} FROM PUBLIC;
COMMENT ON SCHEMA ${ledgerSchema} IS 'What the Guardian migration did in this database. Do not change by hand.';

CREATE TABLE ${ledgerSchema}.ledger (
  only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id                uuid NOT NULL DEFAULT gen_random_uuid(),
  format            integer NOT NULL,
  system_identifier text NOT NULL,
  database          text NOT NULL,
  stack             text NOT NULL,
  epoch             bigint NOT NULL DEFAULT 0,
  holder            text,
  created_at        timestamptz NOT NULL DEFAULT now(),
  created_by        text NOT NULL DEFAULT current_user,
  database_oid      oid,
  former_names      text[] NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN ${ledgerSchema}.ledger.stack IS 'The Pulumi stack that owns the migration, as in its URNs.';
COMMENT ON COLUMN ${ledgerSchema}.ledger.database_oid IS 'By which a database that was renamed is told from a copy; NULL: an older release did not note it.';
COMMENT ON COLUMN ${ledgerSchema}.ledger.former_names IS 'Names that this database had before it was renamed; states of then are states of it.';
COMMENT ON COLUMN ${ledgerSchema}.ledger.epoch IS 'Raised by every operator that takes the lock; a transaction of an earlier one commits nothing.';

CREATE TABLE ${ledgerSchema}.step (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  urn           text NOT NULL,
  part          text NOT NULL DEFAULT '',
  kind          text NOT NULL,
  ledger_id     uuid NOT NULL,
  attempt       integer NOT NULL,
  state         text NOT NULL CHECK (state IN ('planned', 'running', 'done', 'undoing', 'undone')),
  meaning       text,
  epoch         bigint NOT NULL,
  pid           integer,
  backend_start timestamptz,
  xid           xid8,
  physical_id   text,
  detail        jsonb NOT NULL DEFAULT '{}',
  started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at      timestamptz,
  UNIQUE (urn, part, attempt)
);
COMMENT ON TABLE ${ledgerSchema}.step IS 'One row for every attempt at every piece of work; the newest attempt of a URN and part is how it stands.';
COMMENT ON COLUMN ${ledgerSchema}.step.part IS 'Empty for the resource itself, else the piece of it: an index, the rows that come back.';

CREATE TABLE ${ledgerSchema}.module (
  apply_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  urn        text NOT NULL,
  name       text NOT NULL,
  manifest   jsonb NOT NULL,
  up         text NOT NULL,
  down       text NOT NULL,
  verify     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  undone_at  timestamptz
);
COMMENT ON TABLE ${ledgerSchema}.module IS 'Every application of a module with the SQL that undoes it, so that a rollback needs no checkout.';

CREATE TABLE ${ledgerSchema}.object (
  apply_id   bigint NOT NULL REFERENCES ${ledgerSchema}.module ON DELETE CASCADE,
  object     text NOT NULL,
  definition text NOT NULL,
  facts      integer NOT NULL,
  PRIMARY KEY (apply_id, object)
);
COMMENT ON TABLE ${ledgerSchema}.object IS 'How the catalogue described each object when it was made; what differs is drift.';
COMMENT ON COLUMN ${ledgerSchema}.object.facts IS 'Version of the inventory that described it: what a later one tells besides is no drift.';

CREATE TABLE ${ledgerSchema}.archived (
  apply_id    bigint NOT NULL REFERENCES ${ledgerSchema}.module,
  original    text NOT NULL,
  archived_as text NOT NULL,
  subject     text,
  rows        bigint NOT NULL,
  restored    bigint NOT NULL DEFAULT 0,
  beaten      bigint NOT NULL DEFAULT 0,
  left_out    bigint NOT NULL DEFAULT 0,
  archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  restored_at timestamptz,
  PRIMARY KEY (apply_id, original)
);
COMMENT ON TABLE ${ledgerSchema}.archived IS 'Tables taken away by a rollback, and what became of their rows.';
COMMENT ON COLUMN ${ledgerSchema}.archived.beaten IS 'Rows for which a live row was there already.';
COMMENT ON COLUMN ${ledgerSchema}.archived.left_out IS 'Rows whose subject, or what they belong to, was deleted since; or that npm run purge -- --lost gave up.';

CREATE TABLE ${ledgerSchema}.batch (
  id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  urn              text NOT NULL,
  step_id          bigint NOT NULL REFERENCES ${ledgerSchema}.step,
  state            text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'undone')),
  target           text NOT NULL,
  pid              integer NOT NULL DEFAULT pg_backend_pid(),
  epoch            bigint NOT NULL,
  key_from         text,
  key_to           text,
  rows_written     bigint NOT NULL DEFAULT 0,
  rows_present     bigint NOT NULL DEFAULT 0,
  rows_updated     bigint NOT NULL DEFAULT 0,
  rows_taken_back  bigint NOT NULL DEFAULT 0,
  rows_kept        bigint NOT NULL DEFAULT 0,
  checksum         text,
  xid              xid8 NOT NULL DEFAULT pg_current_xact_id(),
  transaction_time timestamptz NOT NULL DEFAULT transaction_timestamp()
);
COMMENT ON COLUMN ${ledgerSchema}.batch.transaction_time IS 'updated_at of every row it wrote; a row with another value was changed since.';
CREATE INDEX batch_urn_idx ON ${ledgerSchema}.batch (urn);
${onlineTables}
CREATE SCHEMA ${archiveSchema};
REVOKE ALL ON SCHEMA ${archiveSchema} FROM PUBLIC;
COMMENT ON SCHEMA ${archiveSchema} IS 'Rows that v7 collected, waiting after a rollback for the next up.';
`;
