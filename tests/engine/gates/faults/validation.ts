import { lose } from "../harness";
import { counted, uncounted } from "./before";
import { sql, type Act, type Fault, type Stack } from "./fault";

const back = sql("INSERT INTO public.patient_vitals SELECT * FROM pg_temp.lost");
const uuid = "[0-9a-f]{8}-[0-9a-f-]{27}";

/** An UPDATE whose row looks as if it had never been written: as a page that the disk has garbled. */
const garble =
  (column: string, value: string): Act =>
  async ({ admin }) => {
    await admin.query("CREATE EXTENSION IF NOT EXISTS pg_surgery SCHEMA guardian_archive");
    await admin.query(
      `CREATE TEMP TABLE was AS SELECT id, ${column} AS value FROM public.patient_medications ORDER BY id LIMIT 1;
     UPDATE public.patient_medications SET ${column} = ${value} WHERE id = (SELECT id FROM was)`,
    );
    // Until the older version is cleared away, an index finds the row by it, and by who ended it (a HOT chain).
    await admin.query("VACUUM public.patient_medications");
    await admin.query(
      `SELECT guardian_archive.heap_force_freeze('public.patient_medications',
       ARRAY[(SELECT m.ctid FROM public.patient_medications m JOIN was USING (id))]::tid[])`,
    );
  };
const mended = (column: string) =>
  sql(
    `UPDATE public.patient_medications m SET ${column} = was.value FROM was WHERE m.id = was.id; DROP TABLE was; DROP EXTENSION pg_surgery`,
  );

/** What may be lost of a table, as a share. */
const half: Stack = { declared: { limits: { maxDataLoss: 0.5, warnSlowdown: 0.1, maxSlowdown: 0.25 } } };

/** What somebody did to v6 after the backup. */
export const validation: readonly Fault[] = [
  {
    check: "v6-rows",
    at: "data",
    fault: "a row that is lost",
    says: new RegExp(
      `^failed: public\\.patient_vitals: loss: 1 of \\d+ rows are missing, and at most 0 were deleted: ${uuid};`,
    ),
    plant: ({ admin }) => lose(admin, "public.patient_vitals"),
    undo: back,
  },
  {
    check: "v6-rows",
    at: "data",
    fault: "a row that is lost, within what may be",
    verdict: "warned",
    says: new RegExp(`^warned: public\\.patient_vitals: loss: 1 of \\d+ .*: ${uuid};`),
    plant: ({ admin }) => lose(admin, "public.patient_vitals"),
    undo: back,
    stack: half,
  },
  {
    check: "v6-rows",
    fault: "a row that is lost, within what may be, beside a table that is not compared",
    verdict: "could not run",
    says: /^could not run: public\.patient_vitals: loss: 1 of .*; public\.patient_allergies: not compared: /,
    plant: async ({ admin }) => {
      await lose(admin, "public.patient_vitals");
      await admin.query("ALTER TABLE public.patient_allergies DROP CONSTRAINT patient_allergies_pkey");
    },
    undo: async (place) => {
      await back(place);
      await place.admin.query("ALTER TABLE public.patient_allergies ADD PRIMARY KEY (id)");
    },
    stack: half,
  },
  {
    check: "v6-rows",
    fault: "a table that is emptied at once",
    says: /^failed: public\.patient_vitals: loss: (\d+) of \1 rows are missing, and at most 0 were deleted: /,
    plant: sql(
      "DROP TABLE IF EXISTS pg_temp.lost; CREATE TEMP TABLE lost AS TABLE public.patient_vitals; TRUNCATE public.patient_vitals",
    ),
    undo: back,
  },
  {
    check: "v6-rows",
    fault: "a table that is gone",
    says: /^failed: public\.patient_vitals: loss: (\d+) of \1 rows are missing, and at most 0 were deleted: \(the table is gone\)/,
    plant: sql("ALTER TABLE public.patient_vitals RENAME TO patient_vitals_old"),
    undo: sql("ALTER TABLE public.patient_vitals_old RENAME TO patient_vitals"),
  },
  {
    check: "v6-rows",
    fault: "a table that has lost its primary key",
    verdict: "could not run",
    says: /^could not run: public\.patient_vitals: not compared: it has no primary key/,
    plant: sql("ALTER TABLE public.patient_vitals DROP CONSTRAINT patient_vitals_pkey"),
    undo: sql("ALTER TABLE public.patient_vitals ADD PRIMARY KEY (id)"),
  },
  {
    check: "v6-cells",
    at: "data",
    fault: "one value that is another, of a row that nobody has written",
    says: new RegExp(
      `^failed: public\\.patient_medications: 1 rows have other values, and nobody has written them: ${uuid} \\(dosage, updated_at\\)$`,
    ),
    plant: garble("dosage", "'1000 g'"),
    undo: mended("dosage"),
  },
  {
    check: "v6-cells",
    fault: "a value that is gone, of a row that nobody has written",
    says: new RegExp(`^failed: .*: ${uuid} \\(created_at, updated_at\\)$`),
    plant: garble("created_at", "NULL"),
    undo: mended("created_at"),
  },
  {
    check: "v6-written",
    at: "data",
    fault: "a row of v6 that a transaction of the ledger's has written",
    says: new RegExp(`^failed: public\\.documents: 1 rows are of a transaction of the ledger's: ${uuid}$`),
    plant: sql(
      "BEGIN; UPDATE public.documents SET error_log = error_log WHERE id = (SELECT min(id::text)::uuid FROM public.documents); UPDATE guardian_migration.step SET xid = pg_current_xact_id() WHERE part = 'proof'; COMMIT",
    ),
    undo: sql("UPDATE public.documents SET error_log = error_log"),
  },
  {
    check: "v6-written",
    fault: "a row that was added in a transaction which the ledger has a row of, and no id",
    says: new RegExp(`^failed: public\\.patient_allergies: 1 rows are of a transaction of the ledger's: ${uuid}$`),
    plant: sql(
      "BEGIN; INSERT INTO public.patient_allergies (allergen, source_document_ids) VALUES ('planted', '{}'); UPDATE guardian_migration.ledger SET holder = 'x'; COMMIT",
    ),
    undo: sql("DELETE FROM public.patient_allergies WHERE allergen = 'planted'; SELECT pg_stat_force_next_flush()"),
  },
  {
    check: "v6-written",
    fault: "a server that counts no rows",
    verdict: "could not run",
    says: /^could not run: the server does not count what a transaction writes: track_counts is off; none of \d+ rows /,
    plant: uncounted,
    undo: counted,
  },
  {
    check: "v6-definitions",
    at: "data",
    fault: "a column added",
    says: /^failed: table public\.documents is not as it was$/,
    plant: sql("ALTER TABLE public.documents ADD COLUMN planted int"),
    undo: sql("ALTER TABLE public.documents DROP COLUMN planted"),
  },
  {
    check: "v6-definitions",
    fault: "a policy opened, an index dropped, a trigger's function changed",
    says: /^failed: index public\.patient_vitals_recent_idx is gone; function public\.update_updated_at_column\(\) is not as it was; policy .* on public\.patient_vitals is not as it was$/,
    plant: async ({ admin }) => {
      const { rows } = await admin.query<{ name: string; body: string }>(
        `SELECT (SELECT quote_ident(polname) FROM pg_policy WHERE polrelid = 'public.patient_vitals'::regclass) AS name,
           pg_get_functiondef('public.update_updated_at_column'::regproc) AS body`,
      );
      [policy, body] = [rows[0]?.name ?? "", rows[0]?.body ?? ""];
      await admin.query(
        `ALTER POLICY ${policy} ON public.patient_vitals USING (true); DROP INDEX public.patient_vitals_recent_idx;
         CREATE OR REPLACE FUNCTION public.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
      );
    },
    undo: ({ admin }) =>
      admin.query(
        `ALTER POLICY ${policy} ON public.patient_vitals USING (auth.uid() = user_id);
         CREATE INDEX patient_vitals_recent_idx ON public.patient_vitals (user_id, measurement_date DESC); ${body}`,
      ),
  },
  {
    check: "v6-definitions",
    at: "data",
    fault: "a trigger added",
    verdict: "warned",
    says: /^warned: trigger planted on auth\.users was added$/,
    plant: sql(
      "CREATE TRIGGER planted BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column()",
    ),
    undo: sql("DROP TRIGGER planted ON auth.users"),
  },
];
let [policy, body] = ["", ""];
