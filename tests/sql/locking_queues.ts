import type { Group } from "./locking";

const uuid = (n: number): string => `00000000-0000-0000-0000-0000000000${String(n).padStart(2, "0")}`;
const [run, token] = [uuid(1), uuid(2)];

const server = (of: string, call: string) => ({ of: `public.${of}`, by: "service_role", sql: `SELECT public.${call}` });

const pipeline = `INSERT INTO public.document_processing_pipelines (pipeline_name, stages) VALUES ('p', '[
  {"stage": "ocr", "processor_type": "ocr_extraction", "order": 1, "max_attempts": 4, "config": {}}]')`;

/** Module 006: the stages of one run, two of them side by side and a third that waits for both. */
export function runGroup([document, patient]: readonly string[]): Group {
  const stage = (id: number, name: string, order: number, status: string) =>
    `('${uuid(id)}', '${document}', '${patient}', 'p', 1, '${run}', '${name}', ${order}, 3, 'ocr_extraction', '${status}',
      ${status === "processing" ? `'${token}', now() + interval '1 hour'` : "NULL, now() - interval '1 hour'"}, 1)`;
  const world = (second: string) => `
    DELETE FROM public.document_processing_queue; DELETE FROM public.document_processing_pipelines; ${pipeline};
    INSERT INTO public.document_processing_queue (id, document_id, patient_id, pipeline_name, pipeline_version, pipeline_run_id,
      processing_stage, stage_order, total_stages, processor_type, status, lease_token, due_at, attempts)
    VALUES ${stage(11, "a", 1, "processing")}, ${stage(12, "b", 1, second)}, ${stage(13, "c", 2, "waiting")}`;
  return {
    name: "a run of a document",
    worlds: {
      "both are worked on": world("processing"),
      "one is to be looked at": world("requires_review"),
      "one is given up": world("dead_letter"),
    },
    only: {
      "one is to be looked at": ["a is completed", "b is approved", "b is put back", "all is cancelled"],
      "one is given up": ["a is completed", "b is put back", "work is taken", "all is cancelled"],
    },
    calls: {
      "a is completed": server(
        "complete_document_work(uuid, uuid, jsonb, numeric, boolean)",
        `complete_document_work('${uuid(11)}', '${token}')`,
      ),
      "b is completed": server(
        "complete_document_work(uuid, uuid, jsonb, numeric, boolean)",
        `complete_document_work('${uuid(12)}', '${token}')`,
      ),
      "b is approved": server("approve_document_work(uuid)", `approve_document_work('${uuid(12)}')`),
      "b is put back": server("requeue_document_work(uuid)", `requeue_document_work('${uuid(12)}')`),
      "a fails": server(
        "fail_document_work(uuid, uuid, text, text, boolean)",
        `fail_document_work('${uuid(11)}', '${token}', 'timeout')`,
      ),
      "a goes on": server(
        "heartbeat_document_work(uuid, uuid, interval, integer)",
        `heartbeat_document_work('${uuid(11)}', '${token}')`,
      ),
      "work is taken": {
        of: "public.claim_document_work(text, integer, interval, text[], text)",
        by: "service_role",
        sql: "SELECT c.processing_stage FROM public.claim_document_work('w', 10) AS c ORDER BY 1",
      },
      "all is cancelled": server("cancel_document_run(uuid, uuid)", `cancel_document_run('${document}', '${run}')`),
      "it is put in again": server(
        "enqueue_document(uuid, text, integer, uuid)",
        `enqueue_document('${document}', 'p') = '${run}'`,
      ),
    },
    state: `SELECT jsonb_agg(q.processing_stage || ' ' || q.status || ' ' || (q.lease_token = '${token}')::text ORDER BY q.processing_stage, q.status)
      FROM public.document_processing_queue AS q`,
    hold: `SELECT pg_advisory_xact_lock(hashtextextended('${run}', 0)), pg_advisory_xact_lock(hashtextextended('${document} p', 0))`,
    changes: {
      "b is completed by hand":
        "UPDATE public.document_processing_queue SET status = 'completed', lease_token = NULL, progress_percentage = 100, completed_at = now() WHERE processing_stage = 'b'",
      "a is cancelled by hand":
        "UPDATE public.document_processing_queue SET status = 'cancelled', lease_token = NULL WHERE processing_stage = 'a'",
      "the run is deleted": "DELETE FROM public.document_processing_queue",
    },
  };
}

/** Module 006: one document and one pipeline, before there is a run. */
export function enqueueGroup([document, patient]: readonly string[]): Group {
  return {
    name: "a document that goes into a pipeline",
    worlds: {
      "no run": `DELETE FROM public.document_processing_queue; DELETE FROM public.document_processing_pipelines; ${pipeline};
        UPDATE public.documents SET user_id = '${patient}' WHERE id = '${document}'`,
    },
    calls: {
      "put in": server(
        "enqueue_document(uuid, text, integer, uuid)",
        `enqueue_document('${document}', 'p') IS NOT NULL`,
      ),
      "the pipeline changes": server(
        "save_document_pipeline(text, jsonb, text, text[], boolean)",
        `save_document_pipeline('p', '[{"stage": "other", "processor_type": "ai_analysis"}]') IS NOT NULL`,
      ),
      "the pipeline is switched off": server(
        "save_document_pipeline(text, jsonb, text, text[], boolean)",
        `save_document_pipeline('p', '[{"stage": "ocr", "processor_type": "ocr_extraction"}]', p_is_active => false) IS NOT NULL`,
      ),
    },
    state: `SELECT jsonb_build_array(
      (SELECT jsonb_agg(q.processing_stage || ' ' || q.pipeline_version ORDER BY 1) FROM public.document_processing_queue AS q),
      (SELECT p.is_active || ' ' || p.pipeline_version FROM public.document_processing_pipelines AS p))`,
    hold: `SELECT pg_advisory_xact_lock(hashtextextended('${document} p', 0)); SELECT FROM public.document_processing_pipelines FOR UPDATE`,
    changes: {
      "the pipeline is switched off by hand": "UPDATE public.document_processing_pipelines SET is_active = false",
      "the pipeline takes no such documents": `UPDATE public.document_processing_pipelines SET document_types = '{x/y}'`,
      "the document belongs to nobody": `UPDATE public.documents SET user_id = NULL WHERE id = '${document}'`,
    },
  };
}

/** Module 007: the addresses of one user, of which he may have twenty. */
export function addressGroup([user]: readonly string[]): Group {
  const [address, secret] = [uuid(1), "secret"];
  const his = (of: string, call: string) => ({ of: `public.${of}`, by: user!, sql: `SELECT public.${call}` });
  return {
    name: "a user's addresses",
    worlds: {
      "one is free": `DELETE FROM public.notification_delivery_channels;
        INSERT INTO public.notification_delivery_channels (id, user_id, channel_type, channel_identifier, verification_hash, verification_expires_at)
        SELECT CASE WHEN n = 1 THEN '${address}' ELSE gen_random_uuid() END, '${user}', 'email', n || '@example.org',
          sha256('${secret}'), now() + interval '1 hour' FROM generate_series(1, 19) AS n`,
    },
    calls: {
      "one comes": his("add_notification_channel(text, text)", "add_notification_channel('sms', '+491') IS NOT NULL"),
      "another comes": his(
        "add_notification_channel(text, text)",
        "add_notification_channel('sms', '+492') IS NOT NULL",
      ),
      "one goes": his("remove_notification_channel(uuid)", `remove_notification_channel('${address}')`),
      "it is proven": his(
        "verify_notification_channel(uuid, text)",
        `verify_notification_channel('${address}', '${secret}')`,
      ),
      "a token is sent": server(
        "start_channel_verification(uuid)",
        `start_channel_verification('${address}') IS NOT NULL`,
      ),
    },
    state: `SELECT jsonb_build_array(count(*), count(*) FILTER (WHERE c.is_active), count(c.verified_at),
      count(*) FILTER (WHERE c.verification_hash = sha256('${secret}'))) FROM public.notification_delivery_channels AS c`,
    hold: `SELECT pg_advisory_xact_lock(hashtextextended('notification_delivery_channels ' || '${user}', 0));
      SELECT FROM public.notification_delivery_channels FOR UPDATE`,
    changes: {
      "the last place is taken": `INSERT INTO public.notification_delivery_channels (user_id, channel_type, channel_identifier) VALUES ('${user}', 'sms', '+493')`,
      "the same comes by hand": `INSERT INTO public.notification_delivery_channels (user_id, channel_type, channel_identifier) VALUES ('${user}', 'sms', '+491')`,
      "the tries are used up": "UPDATE public.notification_delivery_channels SET verification_tries = 5",
      "all go": "DELETE FROM public.notification_delivery_channels",
    },
  };
}

/** Module 007: a message that a worker has, and two that wait for a digest. */
export function messageGroup([user]: readonly string[]): Group {
  const message = uuid(1);
  return {
    name: "a user's messages",
    worlds: {
      "one is on its way": `DELETE FROM public.notification_queue; DELETE FROM public.user_preferences;
        INSERT INTO public.notification_queue (id, user_id, notification_type, title, body, status, lease_token, next_attempt_at, for_digest, dedup_key)
        VALUES ('${message}', '${user}', 'care_team_message', 'a', 'a', 'processing', '${token}', now() + interval '1 hour', false, 'k'),
          ('${uuid(3)}', '${user}', 'care_team_message', 'b', 'b', 'scheduled', NULL, now() + interval '1 hour', true, NULL),
          ('${uuid(4)}', '${user}', 'care_team_message', 'c', 'c', 'scheduled', NULL, now() + interval '1 hour', true, NULL),
          ('${uuid(5)}', '${user}', 'care_team_message', 'd', 'd', 'queued', NULL, NULL, false, NULL)`,
    },
    calls: {
      "it is delivered": server(
        "complete_notification(uuid, uuid, text[], text[])",
        `complete_notification('${message}', '${token}', '{in_app}')`,
      ),
      "it fails": server(
        "fail_notification(uuid, uuid, text)",
        `fail_notification('${message}', '${token}', 'timeout')`,
      ),
      "it is read": {
        of: "public.mark_notification(uuid, text)",
        by: user!,
        sql: `SELECT public.mark_notification('${message}')`,
      },
      "others are taken": {
        of: "public.claim_notifications(text, integer, interval)",
        by: "service_role",
        sql: "SELECT c.title FROM public.claim_notifications('w') AS c ORDER BY 1",
      },
      "a digest is made": server(
        "create_notification_digest(uuid, text)",
        `create_notification_digest('${user}') IS NOT NULL`,
      ),
      "the same is sent again": server(
        "enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamp with time zone)",
        `enqueue_notification('${user}', 'care_team_message', 'a', 'a', p_dedup_key => 'k') = '${message}'`,
      ),
      "a campaign goes out": server(
        "enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamp with time zone, text)",
        "enqueue_notification_campaign('c', 'system_upgrade', 'e', 'e')",
      ),
    },
    state: `SELECT jsonb_agg(l.line ORDER BY l.line) FROM (SELECT concat_ws(' ', n.title, n.status, n.for_digest, n.read_at IS NOT NULL,
      n.digest_id IS NOT NULL) FROM public.notification_queue AS n WHERE n.user_id = '${user}') AS l (line)`,
    hold: "SELECT FROM public.notification_queue FOR UPDATE",
    changes: {
      "the lease is lost": `UPDATE public.notification_queue SET lease_token = gen_random_uuid() WHERE id = '${message}'`,
      "the messages go": "DELETE FROM public.notification_queue",
    },
  };
}
