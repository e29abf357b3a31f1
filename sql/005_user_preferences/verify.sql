-- Made by `npm run verify-sql`: do not change it. What a person adds is in verify.before.sql and verify.after.sql.
-- Read-only. Names what differs from how the module was made; never a value of a row.
-- Without the keys to v6's tables, so that it holds before they are made and these are locked.
SELECT public.assert_module('005_user_preferences', e.facts || CASE WHEN EXISTS (
  SELECT FROM unnest(e.keys) AS k JOIN pg_constraint AS c ON c.conrelid = to_regclass(split_part(k, ': ', 1))
    AND c.conname = split_part(split_part(k, ': ', 2), ' ', 1)) THEN e.keys ELSE '{}' END)
FROM (SELECT ARRAY[
  'public.user_preferences: authenticated may INSERT of user_id, theme, font_size, font_family, reduced_motion, color_blind_support, language, secondary_languages, timezone, date_format, time_format, preferred_units, medical_terminology_level, show_confidence_scores, hide_sensitive_conditions, dashboard_layout, notification_channels, notification_frequency, quiet_hours, default_sharing_level, emergency_contacts, family_access_level, preferred_export_format, auto_backup_enabled, auto_backup_frequency, ai_insights_enabled, ai_risk_alerts, auto_categorization, smart_reminders, preferences_version',
  'public.user_preferences: authenticated may SELECT',
  'public.user_preferences: authenticated may UPDATE of user_id, theme, font_size, font_family, reduced_motion, color_blind_support, language, secondary_languages, timezone, date_format, time_format, preferred_units, medical_terminology_level, show_confidence_scores, hide_sensitive_conditions, dashboard_layout, notification_channels, notification_frequency, quiet_hours, default_sharing_level, emergency_contacts, family_access_level, preferred_export_format, auto_backup_enabled, auto_backup_frequency, ai_insights_enabled, ai_risk_alerts, auto_categorization, smart_reminders, preferences_version',
  'public.user_preferences: constraint user_preferences_pkey',
  'public.user_preferences: policy user_preferences_own_insert for INSERT to authenticated check (user_id = ( SELECT auth.uid() AS uid))',
  'public.user_preferences: policy user_preferences_own_read for SELECT to authenticated using (user_id = ( SELECT auth.uid() AS uid))',
  'public.user_preferences: policy user_preferences_own_update for UPDATE to authenticated using (user_id = ( SELECT auth.uid() AS uid)) check (user_id = ( SELECT auth.uid() AS uid))',
  'public.user_preferences: policy user_preferences_service for SELECT to service_role using true',
  'public.user_preferences: row security',
  'public.user_preferences: service_role may SELECT',
  'public.user_preferences: trigger user_preferences_audit_delete calls public.audit_row',
  'public.user_preferences: trigger user_preferences_audit_insert calls public.audit_row',
  'public.user_preferences: trigger user_preferences_audit_update calls public.audit_row',
  'public.user_preferences: trigger user_preferences_check calls public.check_user_preferences',
  'public.user_preferences: trigger user_preferences_check_all calls public.check_user_preferences',
  'public.get_user_preferences(uuid): authenticated may EXECUTE',
  'public.get_user_preferences(uuid): definer, pinned',
  'public.get_user_preferences(uuid): service_role may EXECUTE',
  'public.check_user_preferences(): invoker, pinned',
  'definition of public.user_preferences: 237fca16',
  'definition of public.get_user_preferences(uuid): 2dc63668',
  'definition of public.check_user_preferences(): 79dd3235',
  'definition of user_preferences_check on public.user_preferences: 23982a7d',
  'definition of user_preferences_check_all on public.user_preferences: 5b3b3fe7',
  'definition of user_preferences_audit_insert on public.user_preferences: 9c1a4755',
  'definition of user_preferences_audit_update on public.user_preferences: 59b1b969',
  'definition of user_preferences_audit_delete on public.user_preferences: 3d41691e'
] AS facts, ARRAY[
  'public.user_preferences: user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'
] AS keys) AS e
-- assert_module names what differs. It takes longer than this: it is called if something does.
WHERE ARRAY(SELECT f FROM unnest(e.facts) AS f ORDER BY f COLLATE "C") <> ARRAY(
  SELECT a.f FROM (SELECT f COLLATE "C" FROM public.security_facts(string_to_array('public.user_preferences', '; '),
    string_to_array('public.get_user_preferences(uuid); public.check_user_preferences()', '; ')) AS f
  UNION ALL SELECT f COLLATE "C" FROM public.definition_facts(string_to_array('public.user_preferences; public.get_user_preferences(uuid); public.check_user_preferences(); user_preferences_check on public.user_preferences; user_preferences_check_all on public.user_preferences; user_preferences_audit_insert on public.user_preferences; user_preferences_audit_update on public.user_preferences; user_preferences_audit_delete on public.user_preferences', '; ')) AS f) AS a (f)
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
      ('public.user_preferences', 'user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE')
    ) AS w (relation, key)
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(w.relation) AND c.conname || ' ' || pg_get_constraintdef(c.oid) = w.key);
  PERFORM set_config('search_path', v_path, true);
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = 'module 005_user_preferences is not as it was made: ' || v_bad;
  END IF;
END
$$;
