-- Preferences: one row a user, how Guardian looks, speaks, notifies and shares. auth.users is touched at the end only.

CREATE TABLE public.user_preferences (
  user_id uuid NOT NULL CONSTRAINT user_preferences_pkey PRIMARY KEY,
  theme text NOT NULL DEFAULT 'system'
    CONSTRAINT user_preferences_theme_check CHECK (theme IN ('light', 'dark', 'high_contrast', 'system')),
  font_size text NOT NULL DEFAULT 'medium'
    CONSTRAINT user_preferences_font_size_check CHECK (font_size IN ('small', 'medium', 'large', 'extra_large')),
  font_family text NOT NULL DEFAULT 'system' CONSTRAINT user_preferences_font_family_check
    CHECK (font_family IN ('system', 'dyslexia_friendly', 'serif', 'sans_serif')),
  reduced_motion boolean NOT NULL DEFAULT false,
  color_blind_support text NOT NULL DEFAULT 'none' CONSTRAINT user_preferences_color_blind_support_check
    CHECK (color_blind_support IN ('none', 'protanopia', 'deuteranopia', 'tritanopia')),
  -- A well-formed tag (RFC 5646, 2.1): language, script, region, variants, extensions, private use.
  language text NOT NULL DEFAULT 'en' CONSTRAINT user_preferences_language_check CHECK (language = 'en'
    OR length(language) <= 35 AND language ~ ('^([A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(-[A-Za-z]{4})?'
      || '(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*'
      || '(-[0-9A-WY-Za-wy-z](-[A-Za-z0-9]{2,8})+)*(-[Xx](-[A-Za-z0-9]{1,8})+)?$')),
  -- The text of an array quotes every element that is more than letters, digits and hyphens.
  secondary_languages text[] NOT NULL DEFAULT '{}' CONSTRAINT user_preferences_secondary_languages_check CHECK (
    secondary_languages = '{}' OR length(secondary_languages::text) <= 400 AND secondary_languages::text ~
      '^[{][A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*(,[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)*[}]$'
    AND array_position(secondary_languages, NULL) IS NULL),
  -- The shape only; trigger user_preferences_timezone asks the server whether the zone exists.
  timezone text NOT NULL DEFAULT 'UTC' CONSTRAINT user_preferences_timezone_check CHECK (timezone = 'UTC'
    OR timezone ~ ('^(Etc/GMT-([0-9]|1[0-4])|Etc/GMT[+]([0-9]|1[0-2])'
      '|[A-Z][A-Za-z]+/[A-Z][A-Za-z_-]*(/[A-Z][A-Za-z_-]*)?)$')),
  date_format text NOT NULL DEFAULT 'ISO'
    CONSTRAINT user_preferences_date_format_check CHECK (date_format IN ('ISO', 'US', 'EU', 'custom')),
  time_format text NOT NULL DEFAULT '24h'
    CONSTRAINT user_preferences_time_format_check CHECK (time_format IN ('12h', '24h')),
  preferred_units jsonb NOT NULL
    DEFAULT '{"weight": "kg", "height": "cm", "temperature": "C", "blood_pressure": "mmHg", "glucose": "mg/dL"}'
    CONSTRAINT user_preferences_preferred_units_check CHECK (jsonb_typeof(preferred_units) = 'object'),
  medical_terminology_level text NOT NULL DEFAULT 'balanced' CONSTRAINT user_preferences_terminology_check
    CHECK (medical_terminology_level IN ('simple', 'balanced', 'technical')),
  show_confidence_scores boolean NOT NULL DEFAULT true,
  hide_sensitive_conditions text[] NOT NULL DEFAULT '{}',
  dashboard_layout jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT user_preferences_dashboard_layout_check CHECK (jsonb_typeof(dashboard_layout) = 'object'),
  notification_channels jsonb NOT NULL DEFAULT '{"email": true, "sms": false, "push": true, "in_app": true}'
    CONSTRAINT user_preferences_notification_channels_check CHECK (jsonb_typeof(notification_channels) = 'object'
      AND notification_channels - '{email,sms,push,in_app}'::text[] = '{}'
      AND NOT jsonb_path_exists(notification_channels, '$.* ? (@.type() != "boolean")')),
  notification_frequency text NOT NULL DEFAULT 'immediate' CONSTRAINT user_preferences_notification_frequency_check
    CHECK (notification_frequency IN ('immediate', 'hourly', 'daily', 'weekly')),
  quiet_hours jsonb NOT NULL DEFAULT '{"enabled": false, "start": "22:00", "end": "08:00", "timezone": "user"}'
    CONSTRAINT user_preferences_quiet_hours_check CHECK (coalesce(jsonb_typeof(quiet_hours -> 'enabled') = 'boolean'
      AND quiet_hours ->> 'start' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
      AND quiet_hours ->> 'end' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$', false)),
  default_sharing_level text NOT NULL DEFAULT 'private' CONSTRAINT user_preferences_sharing_level_check
    CHECK (default_sharing_level IN ('private', 'family', 'care_team', 'research_opt_in')),
  emergency_contacts jsonb NOT NULL DEFAULT '[]' CONSTRAINT user_preferences_emergency_contacts_check CHECK (
    CASE WHEN jsonb_typeof(emergency_contacts) = 'array' THEN jsonb_array_length(emergency_contacts) <= 20
      ELSE false END),
  family_access_level text NOT NULL DEFAULT 'none' CONSTRAINT user_preferences_family_access_check
    CHECK (family_access_level IN ('none', 'summary_only', 'full_except_sensitive', 'full')),
  preferred_export_format text NOT NULL DEFAULT 'fhir' CONSTRAINT user_preferences_export_format_check
    CHECK (preferred_export_format IN ('fhir', 'pdf', 'csv', 'json')),
  auto_backup_enabled boolean NOT NULL DEFAULT false,
  auto_backup_frequency text NOT NULL DEFAULT 'monthly' CONSTRAINT user_preferences_backup_frequency_check
    CHECK (auto_backup_frequency IN ('weekly', 'monthly', 'quarterly')),
  ai_insights_enabled boolean NOT NULL DEFAULT true,
  ai_risk_alerts boolean NOT NULL DEFAULT true,
  auto_categorization boolean NOT NULL DEFAULT true,
  smart_reminders boolean NOT NULL DEFAULT true,
  preferences_version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.user_preferences IS
  'Preferences of a user. The migration makes a row for every account, get_user_preferences for every later one.';
COMMENT ON COLUMN public.user_preferences.language IS 'BCP 47 language tag, for example en-AU.';
COMMENT ON COLUMN public.user_preferences.secondary_languages IS 'Further BCP 47 tags, best first.';
COMMENT ON COLUMN public.user_preferences.timezone IS
  'IANA time zone as Area/Location, Etc/GMT with an offset, or UTC.';
COMMENT ON COLUMN public.user_preferences.preferred_units IS 'Unit shown for each quantity.';
COMMENT ON COLUMN public.user_preferences.hide_sensitive_conditions IS 'Conditions kept out of shared views.';
COMMENT ON COLUMN public.user_preferences.dashboard_layout IS 'Widgets, charts and ranges; empty: the standard layout.';
COMMENT ON COLUMN public.user_preferences.notification_channels IS
  'email, sms, push and in_app, each true or false; a channel that is absent is not used.';
COMMENT ON COLUMN public.user_preferences.quiet_hours IS
  'enabled, start and end as HH:MM (past midnight where end is before start), timezone: "user" or a zone.';
COMMENT ON COLUMN public.user_preferences.default_sharing_level IS
  'Starting point for new sharing; opens nothing itself.';
COMMENT ON COLUMN public.user_preferences.emergency_contacts IS 'Persons to call; personal data of others.';
COMMENT ON COLUMN public.user_preferences.preferences_version IS 'Version of this structure, for the application.';

CREATE FUNCTION public.get_user_preferences(p_user_id uuid DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := coalesce(p_user_id, auth.uid());
  v_row jsonb;
BEGIN
  IF (v_user = auth.uid()) IS NOT TRUE AND (v_user IS NULL OR NOT public.caller_is_trusted()) THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a user may ask for his own preferences only';
  END IF;
  SELECT to_jsonb(p) INTO v_row FROM public.user_preferences AS p WHERE p.user_id = v_user;
  IF v_row IS NULL THEN
    INSERT INTO public.user_preferences (user_id) VALUES (v_user) ON CONFLICT (user_id) DO NOTHING;
    SELECT to_jsonb(p) INTO v_row FROM public.user_preferences AS p WHERE p.user_id = v_user;
  END IF;
  RETURN v_row;
END
$$;
COMMENT ON FUNCTION public.get_user_preferences(uuid) IS
  'The caller''s preferences, made with the defaults if there are none; any user''s for service_role and operators.';

CREATE TRIGGER user_preferences_updated_at BEFORE UPDATE ON public.user_preferences
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.set_updated_at();
-- AT TIME ZONE itself raises for an unknown zone, by the server's cache of zones: no function call a row, so that a
-- million rows stay cheap. A trigger and no CHECK, so that a dump can be restored on a server with older zones.
CREATE TRIGGER user_preferences_timezone BEFORE INSERT OR UPDATE OF timezone ON public.user_preferences
  FOR EACH ROW WHEN ((TIMESTAMPTZ '2000-01-01 00:00:00+00' AT TIME ZONE NEW.timezone) IS NULL)
  EXECUTE FUNCTION public.refuse_change('a time zone is needed');
-- Audited is what others may see. Rows with the defaults, as the migration writes them, say nothing.
CREATE TRIGGER user_preferences_audit_insert AFTER INSERT ON public.user_preferences
  FOR EACH ROW WHEN (NEW.default_sharing_level <> 'private' OR NEW.family_access_level <> 'none'
    OR NEW.emergency_contacts <> '[]' OR NEW.hide_sensitive_conditions <> '{}')
  EXECUTE FUNCTION public.audit_row('user_id');
CREATE TRIGGER user_preferences_audit_update AFTER UPDATE ON public.user_preferences
  FOR EACH ROW WHEN (
    OLD.default_sharing_level <> NEW.default_sharing_level OR OLD.family_access_level <> NEW.family_access_level
    OR OLD.emergency_contacts <> NEW.emergency_contacts
    OR OLD.hide_sensitive_conditions <> NEW.hide_sensitive_conditions)
  EXECUTE FUNCTION public.audit_row('user_id');
CREATE TRIGGER user_preferences_audit_delete AFTER DELETE ON public.user_preferences
  FOR EACH ROW WHEN (OLD.default_sharing_level <> 'private' OR OLD.family_access_level <> 'none'
    OR OLD.emergency_contacts <> '[]' OR OLD.hide_sensitive_conditions <> '{}')
  EXECUTE FUNCTION public.audit_row('user_id');

ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY user_preferences_own_read ON public.user_preferences FOR SELECT TO authenticated
  USING (user_id = (SELECT auth.uid()));
CREATE POLICY user_preferences_own_insert ON public.user_preferences FOR INSERT TO authenticated
  WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY user_preferences_own_update ON public.user_preferences FOR UPDATE TO authenticated
  USING (user_id = (SELECT auth.uid())) WITH CHECK (user_id = (SELECT auth.uid()));
CREATE POLICY user_preferences_service ON public.user_preferences FOR SELECT TO service_role USING (true);

REVOKE ALL ON public.user_preferences FROM PUBLIC, anon, authenticated, service_role;
REVOKE ALL ON FUNCTION public.get_user_preferences(uuid) FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.user_preferences TO authenticated, service_role;
-- Everything but created_at and updated_at: by updated_at a rollback knows the rows that nobody changed.
GRANT INSERT (
    user_id, theme, font_size, font_family, reduced_motion, color_blind_support, language, secondary_languages,
    timezone, date_format, time_format, preferred_units, medical_terminology_level, show_confidence_scores,
    hide_sensitive_conditions, dashboard_layout, notification_channels, notification_frequency, quiet_hours,
    default_sharing_level, emergency_contacts, family_access_level, preferred_export_format, auto_backup_enabled,
    auto_backup_frequency, ai_insights_enabled, ai_risk_alerts, auto_categorization, smart_reminders,
    preferences_version),
  UPDATE (
    user_id, theme, font_size, font_family, reduced_motion, color_blind_support, language, secondary_languages,
    timezone, date_format, time_format, preferred_units, medical_terminology_level, show_confidence_scores,
    hide_sensitive_conditions, dashboard_layout, notification_channels, notification_frequency, quiet_hours,
    default_sharing_level, emergency_contacts, family_access_level, preferred_export_format, auto_backup_enabled,
    auto_backup_frequency, ai_insights_enabled, ai_risk_alerts, auto_categorization, smart_reminders,
    preferences_version)
  ON public.user_preferences TO authenticated;
GRANT EXECUTE ON FUNCTION public.get_user_preferences(uuid) TO authenticated, service_role;

-- From here on auth.users is locked. Deleting an account deletes its preferences.
ALTER TABLE public.user_preferences
  ADD CONSTRAINT user_preferences_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
