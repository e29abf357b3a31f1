-- Row security, and the rights of API roles.

ALTER TABLE public.notification_queue ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.notification_delivery_channels ENABLE ROW LEVEL SECURITY;
CREATE POLICY notification_queue_own ON public.notification_queue FOR SELECT TO authenticated
  USING (user_id = (SELECT auth.uid()));
CREATE POLICY notification_queue_service ON public.notification_queue FOR SELECT TO service_role USING (true);
CREATE POLICY notification_delivery_channels_own_read ON public.notification_delivery_channels FOR SELECT
  TO authenticated USING (user_id = (SELECT auth.uid()));
CREATE POLICY notification_delivery_channels_own_update ON public.notification_delivery_channels FOR UPDATE
  TO authenticated USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY notification_delivery_channels_service ON public.notification_delivery_channels FOR SELECT
  TO service_role USING (true);

REVOKE ALL ON public.notification_queue, public.notification_delivery_channels
  FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.notification_queue TO service_role;
GRANT SELECT (id, user_id, notification_type, priority, category, title, body, data, delivery_channels, scheduled_for,
    expires_at, status, digest_id, delivered_channels, delivered_at, read_at, clicked_at, dismissed_at, created_at,
    updated_at)
  ON public.notification_queue TO authenticated;
-- Not the hash of the token, for nobody.
GRANT SELECT (id, user_id, channel_type, channel_identifier, is_active, verified_at, notification_types_enabled,
    priority_threshold, created_at, updated_at)
  ON public.notification_delivery_channels TO authenticated, service_role;
GRANT UPDATE (is_active, notification_types_enabled, priority_threshold)
  ON public.notification_delivery_channels TO authenticated;
REVOKE ALL ON FUNCTION public.tidy_notification(), public.account_is_deleted(uuid), public.pass_over_deleted(),
  public.notification_rank(text),
  public.quiet_hours_end(jsonb, text, timestamptz), public.next_digest_at(text, text, timestamptz),
  public.marketing_allowed(uuid), public.usable_channels(uuid, text[], text, text),
  public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamptz),
  public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text),
  public.create_notification_digest(uuid, text), public.pass_over_notifications(uuid[], text),
  public.claim_notifications(text, integer, interval),
  public.fail_notification(uuid, uuid, text), public.complete_notification(uuid, uuid, text[], text[]),
  public.mark_notification(uuid, text), public.add_notification_channel(text, text),
  public.remove_notification_channel(uuid), public.start_channel_verification(uuid),
  public.verify_notification_channel(uuid, text), public.notify_document_outcome(), public.notify_consent_change()
  FROM PUBLIC, anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION public.mark_notification(uuid, text), public.add_notification_channel(text, text),
  public.remove_notification_channel(uuid), public.verify_notification_channel(uuid, text) TO authenticated;
GRANT EXECUTE ON FUNCTION
  public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamptz),
  public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text),
  public.create_notification_digest(uuid, text), public.claim_notifications(text, integer, interval),
  public.fail_notification(uuid, uuid, text), public.complete_notification(uuid, uuid, text[], text[]),
  public.start_channel_verification(uuid) TO service_role;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT EXECUTE ON FUNCTION
      public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamptz, text)
      TO guardian_operator;
  END IF;
END
$$;
