-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
-- Without the keys to v6's tables, so that it holds before they are made and these are locked.
SELECT public.assert_module('007_notification_queue', e.facts || CASE WHEN EXISTS (
  SELECT FROM unnest(e.keys) AS k JOIN pg_constraint AS c ON c.conrelid = to_regclass(split_part(k, ': ', 1))
    AND c.conname = split_part(split_part(k, ': ', 2), ' ', 1)) THEN e.keys ELSE '{}' END)
FROM (SELECT ARRAY[
  'public.notification_queue: authenticated may SELECT of id, user_id, notification_type, priority, category, title, body, data, delivery_channels, scheduled_for, expires_at, status, digest_id, delivered_channels, delivered_at, read_at, clicked_at, dismissed_at, created_at, updated_at',
  'public.notification_queue: constraint notification_queue_attempts_check',
  'public.notification_queue: constraint notification_queue_body_check',
  'public.notification_queue: constraint notification_queue_category_check',
  'public.notification_queue: constraint notification_queue_channels_bound',
  'public.notification_queue: constraint notification_queue_channels_check',
  'public.notification_queue: constraint notification_queue_data_bound',
  'public.notification_queue: constraint notification_queue_data_check',
  'public.notification_queue: constraint notification_queue_dedup_key_check',
  'public.notification_queue: constraint notification_queue_dedup_key_line',
  'public.notification_queue: constraint notification_queue_delivered_bound',
  'public.notification_queue: constraint notification_queue_delivered_line',
  'public.notification_queue: constraint notification_queue_digest_check',
  'public.notification_queue: constraint notification_queue_error_code_check',
  'public.notification_queue: constraint notification_queue_failed_bound',
  'public.notification_queue: constraint notification_queue_failed_line',
  'public.notification_queue: constraint notification_queue_lease_check',
  'public.notification_queue: constraint notification_queue_leased_by_bound',
  'public.notification_queue: constraint notification_queue_leased_by_line',
  'public.notification_queue: constraint notification_queue_pkey',
  'public.notification_queue: constraint notification_queue_priority_check',
  'public.notification_queue: constraint notification_queue_status_check',
  'public.notification_queue: constraint notification_queue_times_check',
  'public.notification_queue: constraint notification_queue_title_check',
  'public.notification_queue: constraint notification_queue_title_line',
  'public.notification_queue: constraint notification_queue_type_check',
  'public.notification_queue: index public.notification_queue_claim_idx',
  'public.notification_queue: policy notification_queue_own for SELECT to authenticated using (user_id = ( SELECT auth.uid() AS uid))',
  'public.notification_queue: policy notification_queue_service for SELECT to service_role using true',
  'public.notification_queue: row security',
  'public.notification_queue: service_role may SELECT',
  'public.notification_queue: trigger notification_queue_recipient calls public.pass_over_deleted',
  'public.notification_queue: trigger notification_queue_tidy calls public.tidy_notification',
  'public.notification_queue: trigger notification_queue_updated_at calls public.set_updated_at',
  'public.notification_queue: unique index public.notification_queue_once_key',
  'public.notification_delivery_channels: authenticated may SELECT of id, user_id, channel_type, channel_identifier, is_active, verified_at, notification_types_enabled, priority_threshold, created_at, updated_at',
  'public.notification_delivery_channels: authenticated may UPDATE of is_active, notification_types_enabled, priority_threshold',
  'public.notification_delivery_channels: constraint notification_delivery_channels_address_check',
  'public.notification_delivery_channels: constraint notification_delivery_channels_hash_bound',
  'public.notification_delivery_channels: constraint notification_delivery_channels_identifier_check',
  'public.notification_delivery_channels: constraint notification_delivery_channels_identifier_line',
  'public.notification_delivery_channels: constraint notification_delivery_channels_key',
  'public.notification_delivery_channels: constraint notification_delivery_channels_pkey',
  'public.notification_delivery_channels: constraint notification_delivery_channels_threshold_check',
  'public.notification_delivery_channels: constraint notification_delivery_channels_type_check',
  'public.notification_delivery_channels: constraint notification_delivery_channels_types_bound',
  'public.notification_delivery_channels: policy notification_delivery_channels_own_read for SELECT to authenticated using (user_id = ( SELECT auth.uid() AS uid))',
  'public.notification_delivery_channels: policy notification_delivery_channels_own_update for UPDATE to authenticated using (user_id = ( SELECT auth.uid() AS uid)) check (user_id = ( SELECT auth.uid() AS uid))',
  'public.notification_delivery_channels: policy notification_delivery_channels_service for SELECT to service_role using true',
  'public.notification_delivery_channels: row security',
  'public.notification_delivery_channels: service_role may SELECT of id, user_id, channel_type, channel_identifier, is_active, verified_at, notification_types_enabled, priority_threshold, created_at, updated_at',
  'public.notification_delivery_channels: trigger notification_delivery_channels_audit calls public.audit_row',
  'public.notification_delivery_channels: trigger notification_delivery_channels_updated_at calls public.set_updated_at',
  'public.tidy_notification(): invoker, pinned',
  'public.account_is_deleted(uuid): definer, pinned',
  'public.pass_over_deleted(): invoker, pinned',
  'public.notification_rank(text): invoker, pinned',
  'public.quiet_hours_end(jsonb, text, timestamp with time zone): invoker, pinned',
  'public.next_digest_at(text, text, timestamp with time zone): invoker, pinned',
  'public.marketing_allowed(uuid): invoker, pinned',
  'public.usable_channels(uuid, text[], text, text): invoker, pinned',
  'public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamp with time zone): definer, pinned',
  'public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamp with time zone): service_role may EXECUTE',
  'public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamp with time zone, text): definer, pinned',
  'public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamp with time zone, text): service_role may EXECUTE',
  'public.create_notification_digest(uuid, text): definer, pinned',
  'public.create_notification_digest(uuid, text): service_role may EXECUTE',
  'public.pass_over_notifications(uuid[], text): invoker, pinned',
  'public.claim_notifications(text, integer, interval): definer, pinned',
  'public.claim_notifications(text, integer, interval): service_role may EXECUTE',
  'public.fail_notification(uuid, uuid, text): definer, pinned',
  'public.fail_notification(uuid, uuid, text): service_role may EXECUTE',
  'public.complete_notification(uuid, uuid, text[], text[]): definer, pinned',
  'public.complete_notification(uuid, uuid, text[], text[]): service_role may EXECUTE',
  'public.mark_notification(uuid, text): authenticated may EXECUTE',
  'public.mark_notification(uuid, text): definer, pinned',
  'public.add_notification_channel(text, text): authenticated may EXECUTE',
  'public.add_notification_channel(text, text): definer, pinned',
  'public.remove_notification_channel(uuid): authenticated may EXECUTE',
  'public.remove_notification_channel(uuid): definer, pinned',
  'public.start_channel_verification(uuid): definer, pinned',
  'public.start_channel_verification(uuid): service_role may EXECUTE',
  'public.verify_notification_channel(uuid, text): authenticated may EXECUTE',
  'public.verify_notification_channel(uuid, text): definer, pinned',
  'public.notify_document_outcome(): definer, pinned',
  'public.notify_consent_change(): definer, pinned',
  'definition of public.notification_queue: 7650d437',
  'definition of public.notification_delivery_channels: cbf5d004',
  'definition of public.tidy_notification(): 47a2bd21',
  'definition of public.account_is_deleted(uuid): f3bf1ebf',
  'definition of public.pass_over_deleted(): cbf4b7db',
  'definition of public.notification_rank(text): 0379de23',
  'definition of public.quiet_hours_end(jsonb, text, timestamp with time zone): 12301544',
  'definition of public.next_digest_at(text, text, timestamp with time zone): 980a7091',
  'definition of public.marketing_allowed(uuid): e059bb91',
  'definition of public.usable_channels(uuid, text[], text, text): d85b3c2a',
  'definition of public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamp with time zone): cd473a30',
  'definition of public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamp with time zone, text): 34dbcf14',
  'definition of public.create_notification_digest(uuid, text): 984e1b9f',
  'definition of public.pass_over_notifications(uuid[], text): bd25ac43',
  'definition of public.claim_notifications(text, integer, interval): 9ea45170',
  'definition of public.fail_notification(uuid, uuid, text): b9e0f391',
  'definition of public.complete_notification(uuid, uuid, text[], text[]): 1c6e9638',
  'definition of public.mark_notification(uuid, text): f3c75e19',
  'definition of public.add_notification_channel(text, text): 5863b2d6',
  'definition of public.remove_notification_channel(uuid): 68db461c',
  'definition of public.start_channel_verification(uuid): 62f6e5bc',
  'definition of public.verify_notification_channel(uuid, text): d018f439',
  'definition of public.notify_document_outcome(): 0a2615bc',
  'definition of public.notify_consent_change(): e8a1898f',
  'definition of notification_queue_recipient on public.notification_queue: ae8ebe86',
  'definition of notification_queue_tidy on public.notification_queue: ce6a4352',
  'definition of notification_queue_updated_at on public.notification_queue: bab37ebb',
  'definition of notification_delivery_channels_updated_at on public.notification_delivery_channels: acb2fd5f',
  'definition of notification_delivery_channels_audit on public.notification_delivery_channels: 5add1ecb',
  'definition of document_processing_queue_notify on public.document_processing_queue: 4f7b500d',
  'definition of patient_consents_notify_request on public.patient_consents: 93272d00',
  'definition of patient_consents_notify_change on public.patient_consents: 1a955029'
] AS facts, ARRAY[
  'public.notification_queue: notification_queue_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE',
  'public.notification_delivery_channels: notification_delivery_channels_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'
] AS keys) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT a.f FROM (SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.notification_queue; public.notification_delivery_channels', '; '),
    string_to_array('public.tidy_notification(); public.account_is_deleted(uuid); public.pass_over_deleted(); public.notification_rank(text); public.quiet_hours_end(jsonb, text, timestamp with time zone); public.next_digest_at(text, text, timestamp with time zone); public.marketing_allowed(uuid); public.usable_channels(uuid, text[], text, text); public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamp with time zone); public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamp with time zone, text); public.create_notification_digest(uuid, text); public.pass_over_notifications(uuid[], text); public.claim_notifications(text, integer, interval); public.fail_notification(uuid, uuid, text); public.complete_notification(uuid, uuid, text[], text[]); public.mark_notification(uuid, text); public.add_notification_channel(text, text); public.remove_notification_channel(uuid); public.start_channel_verification(uuid); public.verify_notification_channel(uuid, text); public.notify_document_outcome(); public.notify_consent_change()', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.notification_queue; public.notification_delivery_channels; public.tidy_notification(); public.account_is_deleted(uuid); public.pass_over_deleted(); public.notification_rank(text); public.quiet_hours_end(jsonb, text, timestamp with time zone); public.next_digest_at(text, text, timestamp with time zone); public.marketing_allowed(uuid); public.usable_channels(uuid, text[], text, text); public.enqueue_notification(uuid, text, text, text, jsonb, text, text, text[], text, timestamp with time zone); public.enqueue_notification_campaign(text, text, text, text, jsonb, text, text, text[], timestamp with time zone, text); public.create_notification_digest(uuid, text); public.pass_over_notifications(uuid[], text); public.claim_notifications(text, integer, interval); public.fail_notification(uuid, uuid, text); public.complete_notification(uuid, uuid, text[], text[]); public.mark_notification(uuid, text); public.add_notification_channel(text, text); public.remove_notification_channel(uuid); public.start_channel_verification(uuid); public.verify_notification_channel(uuid, text); public.notify_document_outcome(); public.notify_consent_change(); notification_queue_recipient on public.notification_queue; notification_queue_tidy on public.notification_queue; notification_queue_updated_at on public.notification_queue; notification_delivery_channels_updated_at on public.notification_delivery_channels; notification_delivery_channels_audit on public.notification_delivery_channels; document_processing_queue_notify on public.document_processing_queue; patient_consents_notify_request on public.patient_consents; patient_consents_notify_change on public.patient_consents', '; ')) AS f) AS a (f)
  WHERE a.f <> ALL (e.keys) ORDER BY 1);
-- The keys to v6's tables, by themselves.
DO $$
DECLARE
  v_path text := current_setting('search_path');
  v_bad text;
BEGIN
  -- Names are qualified then.
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  SELECT string_agg(format('missing [%s: %s]', w.relation, w.key), '; ') INTO v_bad FROM (VALUES
      ('public.notification_queue', 'notification_queue_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
      ('public.notification_delivery_channels', 'notification_delivery_channels_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE')
    ) AS w (relation, key)
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(w.relation) AND c.conname || ' ' || pg_get_constraintdef(c.oid) = w.key);
  PERFORM set_config('search_path', v_path, true);
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'module 007_notification_queue is not as it was made: ' || v_bad;
  END IF;
END
$$;
DO $$
DECLARE
  v_bad text := (
    SELECT string_agg(format('[%s: trigger %s]', w.relation, w.name), '; ') FROM (VALUES
      ('public.document_processing_queue', 'document_processing_queue_notify'),
      ('public.patient_consents', 'patient_consents_notify_request'),
      ('public.patient_consents', 'patient_consents_notify_change')
    ) AS w (relation, name)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
      WHERE t.tgrelid = to_regclass(w.relation) AND t.tgname = w.name AND t.tgenabled IN ('O', 'A')));
BEGIN
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001',
      MESSAGE = 'module 007_notification_queue is not as it was made: missing or DISABLED ' || v_bad;
  END IF;
END
$$;
