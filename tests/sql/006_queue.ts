import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { lines, service } from "../support/modules";

export const queueModule = "006_document_queue";
export const modules = ["000_audit_log", queueModule];

/** Two documents of different owners, which nothing of v6 keeps from being deleted. */
export async function documents(client: Client): Promise<[Document, Document]> {
  const { rows } = await client.query<Document>(
    `SELECT DISTINCT ON (d.user_id) d.id, d.user_id AS owner, d.original_name AS name FROM public.documents d
     WHERE d.user_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.patient_lab_results r JOIN public.documents o ON o.id = r.source_document_id WHERE o.user_id = d.user_id)
       AND NOT EXISTS (SELECT FROM public.patient_vitals r JOIN public.documents o ON o.id = r.source_document_id WHERE o.user_id = d.user_id)
     ORDER BY d.user_id, d.id LIMIT 2`,
  );
  return [rows[0]!, rows[1]!];
}

export interface Document {
  id: string;
  owner: string;
  name: string;
}

/** A pipeline: ocr, then two stages side by side, then validation. */
const pipeline = JSON.stringify([
  { stage: "ocr", processor_type: "ocr_extraction", order: 1, max_attempts: 2 },
  { stage: "analysis", processor_type: "ai_analysis", order: 2 },
  { stage: "coding", processor_type: "clinical_coding", order: 2, config: { system: "icd10" } },
  { stage: "validation", processor_type: "quality_validation", order: 3 },
]);

/** Makes a pipeline as the server side does. */
export const save = (client: Client, stages: string = pipeline, name = "standard"): Promise<string> =>
  service(client, "SELECT public.save_document_pipeline($1, $2)", [name, stages]);

export const enqueue = (client: Client, document: string, priority = 5, name = "standard"): Promise<string> =>
  service(client, "SELECT public.enqueue_document($1, $2, $3)", [document, name, priority]);

export interface Work {
  id: string;
  lease_token: string;
  document_id: string;
  processing_stage: string;
  attempt: number;
}

/** Takes work as a worker does. */
export async function claim(client: Client, limit = 10, rest = ""): Promise<Work[]> {
  return asRole(client, "service_role", null, async (c) => {
    const { rows } = await c.query<Work>(`SELECT * FROM public.claim_document_work('test', $1${rest})`, [limit]);
    return rows;
  });
}

export const complete = (client: Client, work: Work): Promise<boolean> =>
  service<boolean>(client, "SELECT public.complete_document_work($1, $2, '{}', 0.9)", [work.id, work.lease_token]);

export const fail = (client: Client, work: Work, more = ""): Promise<string | null> =>
  service<string | null>(client, `SELECT public.fail_document_work($1, $2, 'timeout'${more})`, [
    work.id,
    work.lease_token,
  ]);

/** As if the time of every stage that waits for it had come. */
export const later = (client: Client): Promise<unknown> =>
  client.query("UPDATE public.document_processing_queue SET due_at = now() - interval '1 s' WHERE due_at > now()");

/** Stage and status of a run, in order. */
export const stages = (client: Client): Promise<string[]> =>
  lines(
    client,
    "SELECT processing_stage || ' ' || status AS line FROM public.document_processing_queue ORDER BY stage_order, 1",
  );
