/** One of the application's reading queries. */
export interface AppQuery {
  /** As it is called in figures. */
  readonly name: string;
  /** As people call it. */
  readonly title: string;
  /** What it reads, as `schema.table`. */
  readonly table: string;
  /** The column of the table that says whose a row is: what is asked for. */
  readonly owner: string;
  /** Its type. */
  readonly type: "text" | "uuid";
  /** Which rows of the table give somebody to ask for, as SQL. */
  readonly where: string;
  /** With $1 as whom it asks for, as text. */
  readonly text: string;
}

const ofUser = (name: string, title: string, table: string, text: string): AppQuery => ({
  ...{ name, title, table, owner: "user_id", type: "uuid", where: "user_id IS NOT NULL", text },
});

/**
 * The guide's two (3.3: authentication, document list) and the other reading ones of the v7 paper on benchmarks (its v6
 * baseline: authentication, 100 laboratory results, 50 medications, a search of documents by 3 terms). As the application
 * asks them: the login service looks for an address among accounts that do not come by single sign-on, since only these
 * have an index; without that condition the guide's own query reads every account.
 */
export const appQueries: readonly AppQuery[] = [
  {
    name: "authentication",
    title: "authentication",
    table: "auth.users",
    owner: "email",
    type: "text",
    where: "email IS NOT NULL AND NOT is_sso_user",
    text: "SELECT u.id FROM auth.users AS u WHERE u.email = $1 AND u.is_sso_user = false",
  },
  ofUser(
    "documentList",
    "document list",
    "public.documents",
    "SELECT d.id FROM public.documents AS d WHERE d.user_id = $1::pg_catalog.uuid LIMIT 50",
  ),
  ofUser(
    "documentSearch",
    "document search",
    "public.documents",
    `SELECT d.id FROM public.documents AS d WHERE d.user_id = $1::pg_catalog.uuid
       AND pg_catalog.to_tsvector('pg_catalog.english', coalesce(d.extracted_text, ''))
           @@ pg_catalog.to_tsquery('pg_catalog.english', 'blood & pressure & result') LIMIT 50`,
  ),
  ofUser(
    "medicationList",
    "medication list",
    "public.patient_medications",
    `SELECT m.id, m.medication_name, m.dosage, m.frequency FROM public.patient_medications AS m
     WHERE m.user_id = $1::pg_catalog.uuid AND m.status = 'active' LIMIT 50`,
  ),
  ofUser(
    "laboratoryResults",
    "laboratory results",
    "public.patient_lab_results",
    `SELECT l.id, l.test_name, l.result_value, l.unit, l.test_date FROM public.patient_lab_results AS l
     WHERE l.user_id = $1::pg_catalog.uuid ORDER BY l.test_date DESC LIMIT 100`,
  ),
];

/**
 * Reads no table, so that no migration can slow it down: where it takes longer than then, the server, the network or this
 * machine is not what it was, and the clock says nothing of the others.
 */
export const control = "SELECT pg_catalog.count(*) FROM pg_catalog.generate_series(1, 1000)";
