import type { Client } from "pg";
import { become, type Login } from "../v6/database";
import { key, Traffic, type Work } from "./traffic";

/** What an application has done. */
export interface Worked {
  /** Transactions. */
  committed: number;
  /** SQLSTATE, or `no answer` → how many were not committed for it. */
  refused: Record<string, number>;
}

/** Whom a transaction is about. */
interface Patient {
  id: string;
  /** One of his. */
  document: string;
}

/**
 * Someone who has documents, by a key that is drawn: as good as at random, and found by an index.
 * @param kept whether the account is kept from being closed until the transaction ends
 */
async function patient(client: Client, drawn: string, kept: boolean): Promise<Patient | undefined> {
  const text = `SELECT u.id, d.id AS document FROM public.documents d JOIN auth.users u ON u.id = d.user_id
    WHERE d.id >= $1 ORDER BY d.id LIMIT 1 ${kept ? "FOR KEY SHARE OF u" : ""}`;
  for (const from of [drawn, "0".repeat(32)]) {
    const { rows } = await client.query<Patient>(text, [from]);
    if (rows[0]) return rows[0];
  }
  return undefined;
}

/** Someone looks at what is his: seven requests of ten are like it. */
async function read(client: Client, seed: string, n: number): Promise<void> {
  await client.query("BEGIN");
  const who = await patient(client, key(`${seed} reads ${n}`), false);
  if (who)
    await client.query(
      `${become("authenticated", who.id)}
       SELECT id, original_name, status, created_at, medical_data FROM public.documents ORDER BY created_at DESC LIMIT 20;
       SELECT test_name, result_value, unit, test_date FROM public.patient_lab_results ORDER BY test_date DESC LIMIT 50;
       SELECT medication_name, dosage FROM public.patient_medications WHERE status = 'active' LIMIT 50;
       SELECT id FROM public.documents WHERE to_tsvector('english', coalesce(extracted_text, '')) @@ to_tsquery('english', 'blood')`,
    );
  await client.query("COMMIT");
}

/** What is written for a patient, one step a transaction: as the login service, the patient, and the edge functions do. */
const treatments: readonly ((id: string, document: string) => string)[] = [
  (id) =>
    `${become("supabase_auth_admin")} UPDATE auth.users SET last_sign_in_at = now(), updated_at = now() WHERE id = '${id}'`,
  // v6's own trigger then changes the row a second time, in a subtransaction.
  (_id, document) => `${become("service_role")} SELECT set_config('search_path', 'public, extensions', true);
    UPDATE public.documents SET status = 'completed', processed_at = now(), extracted_text = 'Synthetic text, blood pressure',
      normalization_status = 'pending', medical_data = '{"documentType": "lab_report"}' WHERE id = '${document}'`,
  (id, document) => `${become("service_role")}
    INSERT INTO public.patient_lab_results (user_id, test_name, result_value, unit, test_date, source_document_id)
    VALUES ('${id}', 'Load', '5.1', '%', current_date, '${document}');
    INSERT INTO public.patient_medications (user_id, medication_name, source_document_ids)
    VALUES ('${id}', 'Synthetic', ARRAY['${document}'::uuid])`,
  (id) =>
    `${become("authenticated", id)} UPDATE public.patient_medications SET dosage = '5 mg', last_confirmed_at = now()`,
  // Rows that were there before the migration are among them: the gates must not take them for lost.
  (id) => `${become("authenticated", id)}
    DELETE FROM public.patient_lab_results WHERE id = (SELECT id FROM public.patient_lab_results ORDER BY id LIMIT 1);
    DELETE FROM public.patient_medications WHERE id = (SELECT id FROM public.patient_medications ORDER BY id LIMIT 1)`,
  // Of no result and no vital: of those v6 lets no document go. As the server, since a patient is not shown all that hang on it.
  (id) => `${become("service_role")} DELETE FROM public.documents WHERE id = (SELECT d.id FROM public.documents d
    WHERE d.user_id = '${id}' AND EXISTS (SELECT FROM public.documents o WHERE o.user_id = d.user_id AND o.id <> d.id)
      AND NOT EXISTS (SELECT FROM public.patient_lab_results r WHERE r.source_document_id = d.id)
      AND NOT EXISTS (SELECT FROM public.patient_vitals r WHERE r.source_document_id = d.id) ORDER BY d.id LIMIT 1)`,
];

async function treat(client: Client, seed: string, n: number): Promise<void> {
  const [round, step] = [Math.floor(n / treatments.length), n % treatments.length];
  await client.query("BEGIN");
  const who = await patient(client, key(`${seed} treatment ${round}`), true);
  if (who) await client.query(treatments[step]?.(who.id, who.document) ?? "");
  await client.query("COMMIT");
}

/** So many patients stay. */
const fewest = 5;

/** Someone sends a document in, be it the first: there are patients though accounts are closed. */
async function upload(client: Client, seed: string, n: number): Promise<void> {
  await client.query("BEGIN");
  const text = "SELECT id FROM auth.users WHERE id >= $1 AND email IS NOT NULL ORDER BY id LIMIT 1 FOR KEY SHARE";
  const { rows } = await client.query<{ id: string }>(text, [key(`${seed} upload ${n}`)]);
  for (const { id } of rows)
    await client.query(`${become("authenticated", id)} INSERT INTO public.documents (user_id, s3_key, original_name, mime_type)
      VALUES ('${id}', 'load/${id}', 'a.pdf', 'application/pdf')`);
  await client.query("COMMIT");
}

/**
 * Someone closes the account, with all that is in it. It is the owner of the first document: whom a gate has just chosen to try
 * v7's functions with. (Not where v6 forbids it: a result or a vital that is not the owner's hangs on his document.) Some patients
 * stay: without any there is nothing to try v7's functions with.
 */
async function leave(client: Client): Promise<void> {
  const strangers = (table: string): string => `NOT EXISTS (SELECT FROM public.documents o
    JOIN public.${table} r ON r.source_document_id = o.id WHERE o.user_id = d.user_id AND r.user_id IS DISTINCT FROM d.user_id)`;
  await client.query(
    `DELETE FROM auth.users WHERE id = (SELECT d.user_id FROM public.documents d WHERE d.user_id IS NOT NULL
       AND ${strangers("patient_lab_results")} AND ${strangers("patient_vitals")}
       AND (SELECT count(DISTINCT o.user_id) FROM public.documents o) > ${fewest} ORDER BY d.id LIMIT 1)`,
  );
}

const clients: readonly Work[] = [
  { pause: 60, turn: treat },
  { pause: 30, turn: read },
  { pause: 30, turn: read },
  { pause: 1000, turn: upload },
  { pause: 2500, turn: leave },
];

/** A v6 application in use while a migration runs: reads, registrations, uploads, results, changes, and rows that are deleted for good. */
export class Load {
  readonly #all: readonly Traffic[];

  constructor(login: Login, seed: string) {
    const others = clients.map((work, i) => new Traffic(login, `${seed} ${i}`, work));
    this.#all = [new Traffic(login, seed), ...others];
  }

  start(): void {
    for (const one of this.#all) one.start();
  }

  async stop(): Promise<Worked> {
    const committed = await Promise.all(this.#all.map((one) => one.stop()));
    const refused: Worked["refused"] = {};
    for (const state of this.#all.flatMap((one) => one.refused)) refused[state] = (refused[state] ?? 0) + 1;
    return { committed: committed.reduce((sum, n) => sum + n, 0), refused };
  }
}
