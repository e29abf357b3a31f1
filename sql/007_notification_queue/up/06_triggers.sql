-- What is told by itself: triggers on our own tables, those of modules 004 and 006 too.

CREATE FUNCTION public.notify_document_outcome() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NEW.status = 'completed' AND EXISTS (
    SELECT FROM public.document_processing_queue AS q
    WHERE q.document_id = NEW.document_id AND q.pipeline_run_id = NEW.pipeline_run_id AND q.status <> 'completed') THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.notification_queue (user_id, notification_type, category, title, body, data, dedup_key)
  SELECT NEW.patient_id, 'document_processed', 'clinical', CASE NEW.status WHEN 'completed'
      THEN 'A document has been processed' ELSE 'A document could not be processed' END,
    'See your documents for the result.', jsonb_build_object('document_id', NEW.document_id, 'status', NEW.status),
    'document:' || NEW.pipeline_run_id || ':' || NEW.status
  ON CONFLICT DO NOTHING;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- Being told must never keep the work from being recorded. The message may quote values: the code does not.
  RAISE WARNING 'the notification of a document''s outcome was not queued: SQLSTATE %', SQLSTATE;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_document_outcome() IS
  'Trigger: tells the patient that a run is completed or given up, once. Its own failure is a warning.';

CREATE FUNCTION public.notify_consent_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO public.notification_queue (user_id, notification_type, title, body, data)
    SELECT n.patient_id, 'data_sharing_request', 'You are asked for a consent', 'See your consents to answer.',
      jsonb_build_object('consent_id', n.id)
    FROM new_rows AS n WHERE NOT n.granted AND n.consent_metadata ->> 'state' = 'pending';
  ELSE
    INSERT INTO public.notification_queue (user_id, notification_type, title, body, data)
    SELECT NEW.patient_id, 'consent_updated', CASE s.now WHEN 'granted' THEN 'A consent was given'
        WHEN 'revoked' THEN 'A consent was revoked' WHEN 'expired' THEN 'A consent has ended'
        ELSE 'A consent was refused' END, 'See your consents for the details.',
      jsonb_build_object('consent_id', NEW.id, 'state', s.now)
    FROM (SELECT public.consent_state(NEW.granted, NEW.revoked_at, NEW.valid_until, NEW.consent_metadata, NULL)) AS s (now)
    WHERE s.now <> 'pending';
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- A patient must always be able to withdraw.
  RAISE WARNING 'the notification of a consent''s change was not queued: SQLSTATE %', SQLSTATE;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.notify_consent_change() IS
  'Trigger: tells the patient of a request, and of a consent given, refused, revoked or ended. Its own failure is a warning.';

CREATE TRIGGER notification_queue_recipient BEFORE INSERT ON public.notification_queue
  FOR EACH ROW EXECUTE FUNCTION public.pass_over_deleted();
CREATE TRIGGER notification_queue_tidy BEFORE INSERT ON public.notification_queue
  FOR EACH ROW WHEN (NEW.body LIKE '%  %' OR jsonb_typeof(NEW.data -> 'new_features') = 'string')
  EXECUTE FUNCTION public.tidy_notification();
CREATE TRIGGER notification_queue_updated_at BEFORE UPDATE ON public.notification_queue
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER notification_delivery_channels_updated_at BEFORE UPDATE ON public.notification_delivery_channels
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
CREATE TRIGGER notification_delivery_channels_audit AFTER INSERT OR UPDATE OR DELETE
  ON public.notification_delivery_channels FOR EACH ROW EXECUTE FUNCTION public.audit_row('id');
CREATE TRIGGER document_processing_queue_notify AFTER UPDATE ON public.document_processing_queue
  FOR EACH ROW WHEN (OLD.status <> NEW.status AND NEW.status IN ('completed', 'dead_letter'))
  EXECUTE FUNCTION public.notify_document_outcome();
-- Once a statement, so that a million requests of the migration pay one call; they are not told one by one.
CREATE TRIGGER patient_consents_notify_request AFTER INSERT ON public.patient_consents REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT WHEN (NOT public.is_ledger_batch('public.patient_consents'))
  EXECUTE FUNCTION public.notify_consent_change();
CREATE TRIGGER patient_consents_notify_change AFTER UPDATE ON public.patient_consents
  FOR EACH ROW WHEN (OLD.granted <> NEW.granted
    OR OLD.consent_metadata ->> 'state' IS DISTINCT FROM NEW.consent_metadata ->> 'state')
  EXECUTE FUNCTION public.notify_consent_change();
