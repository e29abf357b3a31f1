-- The engine has archived both tables by now, and dropped the view over them.
DROP FUNCTION public.document_queue_depth();
DROP FUNCTION public.cancel_document_run(uuid, uuid);
DROP FUNCTION public.requeue_document_work(uuid);
DROP FUNCTION public.approve_document_work(uuid);
DROP FUNCTION public.fail_document_work(uuid, uuid, text, text, boolean);
DROP FUNCTION public.complete_document_work(uuid, uuid, jsonb, numeric, boolean);
DROP FUNCTION public.advance_document_run(uuid, uuid);
DROP FUNCTION public.lock_document_run(uuid);
DROP FUNCTION public.heartbeat_document_work(uuid, uuid, interval, integer);
DROP FUNCTION public.claim_document_work(text, integer, interval, text[], text);
DROP FUNCTION public.lease_digest(uuid);
DROP FUNCTION public.document_retry_delay(integer);
DROP FUNCTION public.enqueue_document(uuid, text, integer, uuid);
DROP FUNCTION public.save_document_pipeline(text, jsonb, text, text[], boolean);
