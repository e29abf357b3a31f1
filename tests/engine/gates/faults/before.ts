import type { Client } from "pg";
import { sql, type Act, type Fault } from "./fault";

/** Others' sessions in a database. */
let crowd: Client[] = [];

/** The number in a test database's name: names that are the whole server's end with it. */
const number: (name: string) => string = (name) => name.split("_").at(-1) ?? "";

/** Has the ledger say something of a backup, which nobody has taken. */
const noted =
  (detail: object): Act =>
  ({ admin, engine }) =>
    admin.query(
      `INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail)
       SELECT $1, '', 'Backup', id, 1, 'done', 1, 1, $2::jsonb FROM guardian_migration.ledger`,
      [engine.urn("Backup", "backup"), JSON.stringify(detail)],
    );
const forgotten = sql("DELETE FROM guardian_migration.step WHERE kind = 'Backup'");

const [see, blind] = [
  sql("GRANT pg_read_all_stats TO guardian_migrator"),
  sql("REVOKE pg_read_all_stats FROM guardian_migrator"),
];

/** Of sessions that begin after it. */
export const [uncounted, counted]: readonly [Act, Act] = [
  ({ admin, db }) => admin.query(`ALTER DATABASE ${db.name} SET track_counts = off`),
  ({ admin, db }) => admin.query(`ALTER DATABASE ${db.name} RESET track_counts`),
];

/** Faults of a v6 to which nothing was done yet, whose operator sees others' transactions. */
export const before: readonly Fault[] = [
  {
    check: "v6",
    at: "before",
    fault: "row security off",
    says: /public.patient_vitals lacks row security/,
    plant: sql("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY"),
    undo: sql("ALTER TABLE public.patient_vitals ENABLE ROW LEVEL SECURITY"),
  },
  {
    check: "v6",
    fault: "a column that is called otherwise",
    says: /missing: column status of public.documents/,
    plant: sql("ALTER TABLE public.documents RENAME COLUMN status TO state"),
    undo: sql("ALTER TABLE public.documents RENAME COLUMN state TO status"),
  },
  {
    check: "rights",
    fault: "a right taken away that only up needs",
    verdict: "warned",
    says: /lacks 1 right, which up needs/,
    plant: sql("REVOKE REFERENCES ON auth.users FROM guardian_migrator"),
    undo: sql("GRANT REFERENCES ON auth.users TO guardian_migrator"),
  },
  {
    check: "rights",
    at: "before",
    also: ["backup-room"],
    fault: "a table that may not be read",
    says: /lacks \d+ rights?$/,
    plant: sql("REVOKE SELECT ON auth.users FROM guardian_migrator"),
    undo: sql("GRANT SELECT ON auth.users TO guardian_migrator"),
  },
  {
    check: "volumes",
    at: "before",
    fault: "another schema with a table of the same name, in other letters",
    verdict: "warned",
    says: /staging\."Documents" is called like a table of v6/,
    plant: sql(
      'CREATE SCHEMA staging; CREATE TABLE staging."Documents" (id int); GRANT USAGE ON SCHEMA staging TO guardian_migrator; GRANT SELECT ON staging."Documents" TO guardian_migrator',
    ),
    undo: sql("DROP SCHEMA staging CASCADE"),
  },
  {
    check: "transactions",
    at: "before",
    fault: "a transaction that was prepared and left",
    verdict: "warned",
    says: /^warned: prepared transaction 'left_\d+' of user postgres, prepared \d+ s ago$/,
    plant: ({ admin, db }) =>
      admin.query(
        `BEGIN; LOCK TABLE public.documents IN ACCESS SHARE MODE; PREPARE TRANSACTION 'left_${number(db.name)}'`,
      ),
    undo: ({ admin, db }) => admin.query(`ROLLBACK PREPARED 'left_${number(db.name)}'`),
  },
  {
    check: "transactions",
    at: "before",
    fault: "a role that is not told since when others' are open, where nothing may be left open",
    verdict: "could not run",
    says: /does not see since when transactions of others are open/,
    stack: { strict: true },
    plant: blind,
    undo: see,
  },
  {
    check: "replication",
    at: "before",
    fault: "a slot that nobody reads",
    verdict: "warned",
    says: /slot forgotten_\d+ keeps \d+ MB of WAL, and nobody reads it/,
    plant: async ({ admin, db }) => {
      await admin.query("SELECT pg_create_physical_replication_slot('forgotten_' || $1, true)", [number(db.name)]);
      await admin.query(
        "CREATE TABLE public.wal AS SELECT i FROM generate_series(1, 1000) i; DROP TABLE public.wal; CHECKPOINT",
      );
    },
    undo: ({ admin, db }) => admin.query("SELECT pg_drop_replication_slot('forgotten_' || $1)", [number(db.name)]),
  },
  {
    check: "neighbours",
    at: "before",
    sound: /^warned: Rights of anon/,
    fault: "a publication of all tables",
    says: /Publication: everything: FOR ALL TABLES: new tables would join it/,
    plant: sql("CREATE PUBLICATION everything FOR ALL TABLES"),
    undo: sql("DROP PUBLICATION everything"),
  },
  {
    check: "v7",
    at: "before",
    fault: "a table of v7 that somebody else made",
    says: /^failed: table public\.patient_consents is there already, and no module of this stack made it$/,
    plant: sql("CREATE TABLE public.patient_consents (id int)"),
    undo: sql("DROP TABLE public.patient_consents"),
  },
  {
    check: "indexes",
    at: "before",
    fault: "an invalid index",
    verdict: "warned",
    says: /"public"\."documents_broken" on documents is invalid/,
    plant: sql(
      "CREATE INDEX documents_broken ON public.documents (status); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.documents_broken'::regclass",
    ),
    undo: sql("DROP INDEX public.documents_broken"),
  },
  {
    check: "bloat",
    at: "before",
    fault: "more dead rows than living ones",
    verdict: "warned",
    says: /public\.patient_allergies: 12\d{3} dead rows beside/,
    plant:
      // Autovacuum would come first now and then.
      sql(`ALTER TABLE public.patient_allergies SET (autovacuum_enabled = false);
      INSERT INTO public.patient_allergies (user_id, allergen, source_document_ids) SELECT (SELECT min(id::text)::uuid FROM auth.users), 'dust', '{}' FROM generate_series(1, 12000);
      DELETE FROM public.patient_allergies WHERE allergen = 'dust'; SELECT pg_stat_force_next_flush()`),
    undo: async (place) => {
      await sql("ALTER TABLE public.patient_allergies RESET (autovacuum_enabled)")(place);
      return sql("VACUUM public.patient_allergies")(place);
    },
  },
  {
    check: "bloat",
    fault: "a table of which the server has forgotten all that it counted",
    verdict: "warned",
    says: /^warned: public\.allergies_old: no row was counted since the statistics were set to 0$/,
    plant: async ({ admin }) => {
      await admin.query(
        `CREATE TABLE public.allergies_old () INHERITS (public.patient_allergies) WITH (autovacuum_enabled = false, fillfactor = 10);
         INSERT INTO public.allergies_old (allergen, source_document_ids) SELECT 'dust', '{}' FROM generate_series(1, 12000);
         ANALYZE public.allergies_old; SELECT pg_stat_force_next_flush()`,
      );
      await admin.query("SELECT pg_stat_reset_single_table_counters('public.allergies_old'::regclass)");
    },
    undo: sql("DROP TABLE public.allergies_old"),
  },
  {
    check: "bloat",
    fault: "a server that counts no rows",
    verdict: "could not run",
    says: /^could not run: the server counts no rows: track_counts is off/,
    plant: uncounted,
    undo: counted,
  },
  {
    check: "neighbours",
    sound: /^warned: Rights of anon(?!.*track_counts)/,
    verdict: "warned",
    fault: "a server that counts no rows",
    says: /^warned: .*; Statistics: track_counts is off: nobody will know whether the migration wrote to v6/,
    plant: uncounted,
    undo: counted,
  },
  {
    check: "connections",
    at: "before",
    fault: "a limit of the role that leaves no room",
    says: /of the role's -?\d/,
    // As many as it takes to ask a gate.
    plant: sql("ALTER ROLE guardian_migrator CONNECTION LIMIT 4"),
    undo: sql("ALTER ROLE guardian_migrator CONNECTION LIMIT -1"),
  },
  {
    check: "connections",
    fault: "a database that others' sessions fill, whom this role does not see",
    says: /of the database's own limit [0-3],|of the database's own limit [0-3]$/,
    plant: async (place) => {
      await blind(place);
      await place.admin.query(`ALTER DATABASE ${place.db.name} CONNECTION LIMIT 12`);
      crowd = await Promise.all(Array.from({ length: 8 }, () => place.db.connect("admin")));
    },
    undo: async (place) => {
      await Promise.all(crowd.map((one) => one.end()));
      await place.admin.query(`ALTER DATABASE ${place.db.name} CONNECTION LIMIT -1`);
      await see(place);
    },
  },
  {
    check: "backup-room",
    at: "before",
    fault: "a disk that is too small for what the last backup had",
    says: /^failed: \d+ MiB are needed for the backup, and \d+ MiB are free: .* times what the last backup had/,
    plant: noted({ path: "/nowhere", takenAt: "2026-01-01 00:00:00+00", bytes: 1e18, protects: {} }),
    undo: forgotten,
  },
  {
    check: "backup-room",
    at: "before",
    fault: "a folder that is none",
    says: /^failed: .*\/dev\/null/,
    planted: () => ({ declared: { backup: { directory: "/dev/null/backups", maxAge: 3600, verify: "restore" } } }),
  },
  {
    check: "collations",
    at: "before",
    sound: /^not applicable: the database's collation has no version/,
    fault: "a database that was made with a collation of another version",
    says: /the database is of version 0\.1, the system has/,
    plant: sql("UPDATE pg_database SET datcollversion = '0.1' WHERE datname = current_database()"),
    undo: sql("UPDATE pg_database SET datcollversion = NULL WHERE datname = current_database()"),
  },
  {
    check: "unfinished",
    at: "before",
    fault: "a module that was begun and not ended",
    verdict: "warned",
    says: /^warned: 003_x is running$/,
    plant: ({ admin, engine }) =>
      admin.query(
        `INSERT INTO guardian_migration.step (urn, part, kind, ledger_id, attempt, state, epoch, pid, detail)
         SELECT $1, '', 'SqlModule', id, 1, 'running', 1, 1, '{}' FROM guardian_migration.ledger`,
        [engine.urn("SqlModule", "003_x")],
      ),
    undo: sql("DELETE FROM guardian_migration.step WHERE kind = 'SqlModule'"),
  },
  {
    check: "extensions",
    at: "before",
    // The last: what v6's defaults call goes with it.
    fault: "an extension that is missing",
    says: /^failed: uuid-ossp missing$/,
    plant: sql('DROP EXTENSION "uuid-ossp" CASCADE'),
    undo: sql('CREATE EXTENSION "uuid-ossp" SCHEMA extensions'),
  },
];

/** Faults of the backup that stands, which was restored, and which something that is to come waits for. */
export const ofBackup: readonly Fault[] = [
  {
    check: "backup",
    at: "before",
    fault: "one whose copy was not as it should be",
    says: /^failed: .*: not proven, \d+ s old; .*; public\.documents: 3 rows are missing$/,
    plant: sql(
      `UPDATE guardian_migration.step SET detail = detail || '{"verdict": "not proven", "relied": false,
         "unproven": [{"table": "public.documents", "reason": "3 rows are missing"}]}' WHERE part = 'proof'`,
    ),
    undo: sql(
      `UPDATE guardian_migration.step SET detail = detail || '{"verdict": "proven", "relied": true, "unproven": []}' WHERE part = 'proof'`,
    ),
  },
  {
    check: "backup",
    at: "before",
    fault: "one that is too old",
    verdict: "warned",
    says: /^warned: .*: proven, \d+ s old; a change wants at most -1 s$/,
    planted: ({ stack }) => {
      const { directory = "/nowhere" } = stack.declared?.backup ?? {};
      return { declared: { backup: { directory, maxAge: -1, verify: "restore" } } };
    },
  },
  {
    check: "backup",
    fault: "one that nobody has restored",
    verdict: "warned",
    says: /^warned: .*: not proven, \d+ s old/,
    plant: sql("UPDATE guardian_migration.step SET state = 'undone' WHERE part = 'proof'"),
    undo: sql("UPDATE guardian_migration.step SET state = 'done' WHERE part = 'proof'"),
  },
];
