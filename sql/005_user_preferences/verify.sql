-- Read-only. Names what differs from how the module was made; never a value of a row.
DO $$
BEGIN
  PERFORM public.assert_module('005_user_preferences', ARRAY[
    'public.user_preferences: row security',
    'public.user_preferences: authenticated may INSERT of user_id, theme, font_size, font_family, reduced_motion,'
      ' color_blind_support, language, secondary_languages, timezone, date_format, time_format, preferred_units, '
      'medical_terminology_level, show_confidence_scores, hide_sensitive_conditions, dashboard_layout, '
      'notification_channels, notification_frequency, quiet_hours, default_sharing_level, emergency_contacts, '
      'family_access_level, preferred_export_format, auto_backup_enabled, auto_backup_frequency, '
      'ai_insights_enabled, ai_risk_alerts, auto_categorization, smart_reminders, preferences_version',
    'public.user_preferences: authenticated may SELECT',
    'public.user_preferences: authenticated may UPDATE of user_id, theme, font_size, font_family, reduced_motion,'
      ' color_blind_support, language, secondary_languages, timezone, date_format, time_format, preferred_units, '
      'medical_terminology_level, show_confidence_scores, hide_sensitive_conditions, dashboard_layout, '
      'notification_channels, notification_frequency, quiet_hours, default_sharing_level, emergency_contacts, '
      'family_access_level, preferred_export_format, auto_backup_enabled, auto_backup_frequency, '
      'ai_insights_enabled, ai_risk_alerts, auto_categorization, smart_reminders, preferences_version',
    'public.user_preferences: service_role may SELECT',
    'public.user_preferences: policy user_preferences_own_read for SELECT to authenticated using (user_id = ( '
      'SELECT auth.uid() AS uid))',
    'public.user_preferences: policy user_preferences_own_insert for INSERT to authenticated check (user_id = ( '
      'SELECT auth.uid() AS uid))',
    'public.user_preferences: policy user_preferences_own_update for UPDATE to authenticated using (user_id = ( '
      'SELECT auth.uid() AS uid)) check (user_id = ( SELECT auth.uid() AS uid))',
    'public.user_preferences: policy user_preferences_service for SELECT to service_role using true',
    'public.user_preferences: trigger user_preferences_updated_at calls public.set_updated_at',
    'public.user_preferences: trigger user_preferences_timezone calls public.refuse_change',
    'public.user_preferences: trigger user_preferences_audit_insert calls public.audit_row',
    'public.user_preferences: trigger user_preferences_audit_update calls public.audit_row',
    'public.user_preferences: trigger user_preferences_audit_delete calls public.audit_row',
    'public.user_preferences: constraint user_preferences_preferred_units_check',
    'public.user_preferences: constraint user_preferences_theme_check',
    'public.user_preferences: constraint user_preferences_time_format_check',
    'public.user_preferences: constraint user_preferences_font_size_check',
    'public.user_preferences: constraint user_preferences_font_family_check',
    'public.user_preferences: constraint user_preferences_color_blind_support_check',
    'public.user_preferences: constraint user_preferences_language_check',
    'public.user_preferences: constraint user_preferences_secondary_languages_check',
    'public.user_preferences: constraint user_preferences_timezone_check',
    'public.user_preferences: constraint user_preferences_date_format_check',
    'public.user_preferences: constraint user_preferences_terminology_check',
    'public.user_preferences: constraint user_preferences_dashboard_layout_check',
    'public.user_preferences: constraint user_preferences_notification_channels_check',
    'public.user_preferences: constraint user_preferences_notification_frequency_check',
    'public.user_preferences: constraint user_preferences_quiet_hours_check',
    'public.user_preferences: constraint user_preferences_sharing_level_check',
    'public.user_preferences: constraint user_preferences_emergency_contacts_check',
    'public.user_preferences: constraint user_preferences_family_access_check',
    'public.user_preferences: constraint user_preferences_export_format_check',
    'public.user_preferences: constraint user_preferences_backup_frequency_check',
    'public.user_preferences: constraint user_preferences_pkey',
    'public.user_preferences: user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON '
      'DELETE CASCADE',
    'public.get_user_preferences(uuid): definer, pinned',
    'public.get_user_preferences(uuid): authenticated may EXECUTE',
    'public.get_user_preferences(uuid): service_role may EXECUTE'
  ]);
END
$$;
