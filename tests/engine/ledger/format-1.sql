-- The ledger of format 1, as release 0.1 made it (schema.ts of that time, the archive aside). Never changed: databases have it.
CREATE SCHEMA guardian_migration;
REVOKE ALL ON SCHEMA guardian_migration FROM PUBLIC;
COMMENT ON SCHEMA guardian_migration IS 'What the Guardian migration did in this database. Do not change by hand.';

CREATE TABLE guardian_migration.ledger (
  only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id                uuid NOT NULL DEFAULT gen_random_uuid(),
  format            integer NOT NULL,
  system_identifier text NOT NULL,
  database          text NOT NULL,
  stack             text NOT NULL,
  epoch             bigint NOT NULL DEFAULT 0,
  holder            text,
  created_at        timestamptz NOT NULL DEFAULT now(),
  created_by        text NOT NULL DEFAULT current_user
);
COMMENT ON COLUMN guardian_migration.ledger.stack IS 'The Pulumi stack that owns the migration, as in its URNs.';
COMMENT ON COLUMN guardian_migration.ledger.epoch IS 'Raised by every operator that takes the lock; a transaction of an earlier one commits nothing.';

CREATE TABLE guardian_migration.step (
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
COMMENT ON TABLE guardian_migration.step IS 'One row for every attempt at every piece of work; the newest attempt of a URN and part is how it stands.';
COMMENT ON COLUMN guardian_migration.step.part IS 'Empty for the resource itself, else the piece of it: an index, the rows that come back.';

CREATE TABLE guardian_migration.module (
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
COMMENT ON TABLE guardian_migration.module IS 'Every application of a module with the SQL that undoes it, so that a rollback needs no checkout.';

CREATE TABLE guardian_migration.object (
  apply_id   bigint NOT NULL REFERENCES guardian_migration.module ON DELETE CASCADE,
  object     text NOT NULL,
  definition text NOT NULL,
  PRIMARY KEY (apply_id, object)
);
COMMENT ON TABLE guardian_migration.object IS 'How the catalogue described each object when it was made; what differs is drift.';

CREATE TABLE guardian_migration.archived (
  apply_id    bigint NOT NULL REFERENCES guardian_migration.module,
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
COMMENT ON TABLE guardian_migration.archived IS 'Tables taken away by a rollback, and what became of their rows.';
COMMENT ON COLUMN guardian_migration.archived.beaten IS 'Rows for which a live row was there already.';
COMMENT ON COLUMN guardian_migration.archived.left_out IS 'Rows whose subject, or what they belong to, was deleted since; or that npm run purge -- --lost gave up.';

CREATE TABLE guardian_migration.batch (
  id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  urn              text NOT NULL,
  step_id          bigint NOT NULL REFERENCES guardian_migration.step,
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
COMMENT ON COLUMN guardian_migration.batch.transaction_time IS 'updated_at of every row it wrote; a row with another value was changed since.';
CREATE INDEX batch_urn_idx ON guardian_migration.batch (urn);

CREATE TABLE guardian_migration.range (
  urn      text NOT NULL,
  place    integer NOT NULL,
  key_from text[] NOT NULL,
  key_to   text[] NOT NULL,
  keys     integer NOT NULL,
  batch_id uuid,
  PRIMARY KEY (urn, place)
);
COMMENT ON TABLE guardian_migration.range IS 'The plan of a data migration: its keys in order, both ends included.';
COMMENT ON COLUMN guardian_migration.range.batch_id IS 'The batch that moved it; NULL: still to be moved, or taken back.';

CREATE TABLE guardian_migration.change (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  migration text NOT NULL,
  key       text[]
);
COMMENT ON TABLE guardian_migration.change IS 'Keys of rows that v6 wrote or deleted while a data migration runs; empty before and after. NULL: all.';

CREATE TABLE guardian_migration.reject (
  urn         text NOT NULL,
  key         text[] NOT NULL,
  sqlstate    text NOT NULL,
  object      text,
  rejected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (urn, key)
);
COMMENT ON TABLE guardian_migration.reject IS 'Rows that could not be moved, by key, and why; no values of theirs.';
COMMENT ON COLUMN guardian_migration.reject.object IS 'The constraint or column that refused it.';
