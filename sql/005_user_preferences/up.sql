-- Preferences: one row a user, how Guardian looks, speaks, notifies and shares. auth.users is touched at the end only.

-- What a value may be is checked by triggers and not by CHECK constraints: PostgreSQL parses all CHECKs of a table anew
-- in every UPDATE, of one column too, which took more than half of it. A function keeps its parsed expressions.
-- fillfactor leaves a page room for a row's next version: most UPDATEs touch no index (manual, Heap-Only Tuples).
CREATE TABLE public.user_preferences (
  user_id uuid NOT NULL CONSTRAINT user_preferences_pkey PRIMARY KEY,
  theme text NOT NULL DEFAULT 'system',
  font_size text NOT NULL DEFAULT 'medium',
  font_family text NOT NULL DEFAULT 'system',
  reduced_motion boolean NOT NULL DEFAULT false,
  color_blind_support text NOT NULL DEFAULT 'none',
  language text NOT NULL DEFAULT 'en',
  secondary_languages text[] NOT NULL DEFAULT '{}',
  timezone text NOT NULL DEFAULT 'UTC',
  date_format text NOT NULL DEFAULT 'ISO',
  time_format text NOT NULL DEFAULT '24h',
  preferred_units jsonb NOT NULL
    DEFAULT '{"weight": "kg", "height": "cm", "temperature": "C", "blood_pressure": "mmHg", "glucose": "mg/dL"}',
  medical_terminology_level text NOT NULL DEFAULT 'balanced',
  show_confidence_scores boolean NOT NULL DEFAULT true,
  hide_sensitive_conditions text[] NOT NULL DEFAULT '{}',
  dashboard_layout jsonb NOT NULL DEFAULT '{}',
  notification_channels jsonb NOT NULL DEFAULT '{"email": true, "sms": false, "push": true, "in_app": true}',
  notification_frequency text NOT NULL DEFAULT 'immediate',
  quiet_hours jsonb NOT NULL DEFAULT '{"enabled": false, "start": "22:00", "end": "08:00", "timezone": "user"}',
  default_sharing_level text NOT NULL DEFAULT 'private',
  emergency_contacts jsonb NOT NULL DEFAULT '[]',
  family_access_level text NOT NULL DEFAULT 'none',
  preferred_export_format text NOT NULL DEFAULT 'fhir',
  auto_backup_enabled boolean NOT NULL DEFAULT false,
  auto_backup_frequency text NOT NULL DEFAULT 'monthly',
  ai_insights_enabled boolean NOT NULL DEFAULT true,
  ai_risk_alerts boolean NOT NULL DEFAULT true,
  auto_categorization boolean NOT NULL DEFAULT true,
  smart_reminders boolean NOT NULL DEFAULT true,
  preferences_version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);
COMMENT ON TABLE public.user_preferences IS
  'Preferences of a user. The migration makes a row for every account, get_user_preferences for every later one.';
COMMENT ON COLUMN public.user_preferences.language IS 'BCP 47 language tag, for example en-AU.';
COMMENT ON COLUMN public.user_preferences.secondary_languages IS 'Further BCP 47 tags, best first.';
COMMENT ON COLUMN public.user_preferences.timezone IS
  'Name of a time zone in the IANA database that the server knows, for example Europe/Berlin, Japan, Etc/GMT-10, UTC.';
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

-- As strict as a CHECK, and NULL passes as there. An INSERT calls it once, so that a million rows stay cheap.
CREATE FUNCTION public.check_user_preferences() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- The display of a page is what users change all day; it is checked in every case.
  v_bad text := CASE
    WHEN NEW.theme NOT IN ('light', 'dark', 'high_contrast', 'system') THEN 'theme'
    WHEN NEW.font_size NOT IN ('small', 'medium', 'large', 'extra_large') THEN 'font_size'
    WHEN NEW.font_family NOT IN ('system', 'dyslexia_friendly', 'serif', 'sans_serif') THEN 'font_family'
    WHEN NEW.color_blind_support NOT IN ('none', 'protanopia', 'deuteranopia', 'tritanopia') THEN 'color_blind_support'
  END;
BEGIN
  -- PostgreSQL prepares an expression once a transaction, and only if it gets there.
  IF TG_NARGS = 1 AND v_bad IS NULL THEN
    v_bad := CASE
      WHEN NEW.date_format NOT IN ('ISO', 'US', 'EU', 'custom') THEN 'date_format'
      WHEN NEW.time_format NOT IN ('12h', '24h') THEN 'time_format'
      WHEN NEW.medical_terminology_level NOT IN ('simple', 'balanced', 'technical') THEN 'medical_terminology_level'
      WHEN NEW.notification_frequency NOT IN ('immediate', 'hourly', 'daily', 'weekly') THEN 'notification_frequency'
      WHEN NEW.default_sharing_level NOT IN ('private', 'family', 'care_team', 'research_opt_in')
        THEN 'default_sharing_level'
      WHEN NEW.family_access_level NOT IN ('none', 'summary_only', 'full_except_sensitive', 'full')
        THEN 'family_access_level'
      WHEN NEW.preferred_export_format NOT IN ('fhir', 'pdf', 'csv', 'json') THEN 'preferred_export_format'
      WHEN NEW.auto_backup_frequency NOT IN ('weekly', 'monthly', 'quarterly') THEN 'auto_backup_frequency'
      -- A well-formed tag (RFC 5646, 2.1): language, script, region, variants, extensions, private use.
      WHEN NOT (NEW.language = 'en' OR length(NEW.language) <= 35 AND NEW.language ~
        ('^([A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(-[A-Za-z]{4})?'
        '(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*'
        '(-[0-9A-WY-Za-wy-z](-[A-Za-z0-9]{2,8})+)*(-[Xx](-[A-Za-z0-9]{1,8})+)?$')) THEN 'language'
      -- The text of an array quotes every element that is more than letters, digits and hyphens.
      WHEN NOT (NEW.secondary_languages = '{}' OR length(NEW.secondary_languages::text) <= 400
        AND NEW.secondary_languages::text ~
          '^[{][A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*(,[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)*[}]$'
        AND array_position(NEW.secondary_languages, NULL) IS NULL) THEN 'secondary_languages'
      -- Area/Location, an offset, and the names of tzdata's file backward that are neither. The list of what this server
      -- knows, pg_timezone_names, is read in tens of milliseconds; AT TIME ZONE alone takes abbreviations and POSIX rules too.
      WHEN NOT (NEW.timezone = 'UTC' OR NEW.timezone ~ ('^([A-Z][A-Za-z]+/[A-Z][A-Za-z_-]*(/[A-Z][A-Za-z_-]*)?'
        '|Etc/GMT(0|-([0-9]|1[0-4])|[+]([0-9]|1[0-2]))|GMT([+-]?0)?|CET|Cuba|EET|EST|EST5EDT|CST6CDT|MST7MDT|PST8PDT|Egypt|Eire|GB'
        '|GB-Eire|Greenwich|HST|Hongkong|Iceland|Iran|Israel|Jamaica|Japan|Kwajalein|Libya|MET|MST|NZ|NZ-CHAT|Navajo|PRC'
        '|Poland|Portugal|ROC|ROK|Singapore|Turkey|UCT|Universal|W-SU|WET|Zulu)$')) THEN 'timezone'
      -- Raises for a zone that the server does not know, by the server's own cache of zones.
      WHEN (TIMESTAMPTZ '2000-01-01 00:00:00+00' AT TIME ZONE NEW.timezone) IS NULL
        AND NEW.timezone IS NOT NULL THEN 'timezone'
      -- Bounds are of the value as text: of one that is stored, pg_column_size tells the compressed size.
      WHEN jsonb_typeof(NEW.preferred_units) <> 'object' OR octet_length(NEW.preferred_units::text) > 4096
        THEN 'preferred_units'
      WHEN jsonb_typeof(NEW.dashboard_layout) <> 'object' OR octet_length(NEW.dashboard_layout::text) > 65536
        THEN 'dashboard_layout'
      WHEN cardinality(NEW.hide_sensitive_conditions) > 200 OR octet_length(NEW.hide_sensitive_conditions::text) > 16384
        THEN 'hide_sensitive_conditions'
      -- The default passes at once, as it is what most rows have.
      WHEN NEW.notification_channels <> '{"email": true, "sms": false, "push": true, "in_app": true}'
        AND CASE WHEN jsonb_typeof(NEW.notification_channels) <> 'object' THEN true
          ELSE NEW.notification_channels - '{email,sms,push,in_app}'::text[] <> '{}'
            OR jsonb_path_exists(NEW.notification_channels, '$.* ? (@.type() != "boolean")') END
        THEN 'notification_channels'
      WHEN NEW.quiet_hours <> '{"enabled": false, "start": "22:00", "end": "08:00", "timezone": "user"}'
        AND NOT coalesce(jsonb_typeof(NEW.quiet_hours -> 'enabled') = 'boolean'
          AND NEW.quiet_hours ->> 'start' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
          AND NEW.quiet_hours ->> 'end' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$', false)
        OR octet_length(NEW.quiet_hours::text) > 1024 THEN 'quiet_hours'
      WHEN CASE WHEN jsonb_typeof(NEW.emergency_contacts) = 'array'
        THEN jsonb_array_length(NEW.emergency_contacts) > 20 ELSE NEW.emergency_contacts IS NOT NULL END
        OR octet_length(NEW.emergency_contacts::text) > 32768
        -- Names, numbers and addresses are lines: JSON writes control characters as a backslash, itself not escaped, and a
        -- letter.
        OR regexp_like(NEW.emergency_contacts::text, '(^|[^\\])(\\\\)*\\[bfnrtu]|[\u007F-\u009F\u2028\u2029]')
        THEN 'emergency_contacts'
    END;
  END IF;
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23514', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = v_bad,
      CONSTRAINT = TG_NAME, MESSAGE = format('%s of %I.%I is refused: column %I does not take this value',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, v_bad);
  END IF;
  -- A write that changes nothing is no change. *<> compares what is stored (manual, Composite Type Comparison), and an
  -- INSERT has a NULL for OLD.
  IF NEW *<> OLD THEN
    -- As public.set_updated_at() has it.
    NEW.updated_at := CASE
      WHEN current_setting('guardian_migration.batch', true) <> '' AND public.is_ledger_batch(TG_RELID)
        THEN transaction_timestamp()
      ELSE clock_timestamp() END;
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.check_user_preferences() IS
  'Trigger: refuses a value that a column may not have, as a CHECK constraint does (23514), naming the column, never '
  'the value; sets updated_at of a row that changed. With the argument all it looks at every column, else at display.';

CREATE TRIGGER user_preferences_check BEFORE UPDATE ON public.user_preferences
  FOR EACH ROW EXECUTE FUNCTION public.check_user_preferences();
CREATE TRIGGER user_preferences_check_all BEFORE INSERT OR UPDATE OF
  language, secondary_languages, timezone, date_format, time_format, preferred_units, medical_terminology_level,
  dashboard_layout, notification_channels, notification_frequency, quiet_hours, default_sharing_level,
  emergency_contacts, family_access_level, preferred_export_format, auto_backup_frequency, hide_sensitive_conditions
  ON public.user_preferences FOR EACH ROW EXECUTE FUNCTION public.check_user_preferences('all');
-- Audited is what others may see. Rows with the defaults, as the migration writes them, say nothing.
CREATE TRIGGER user_preferences_audit_insert AFTER INSERT ON public.user_preferences
  FOR EACH ROW WHEN (NEW.default_sharing_level <> 'private' OR NEW.family_access_level <> 'none'
    OR NEW.emergency_contacts <> '[]' OR NEW.hide_sensitive_conditions <> '{}')
  EXECUTE FUNCTION public.audit_row('user_id');
CREATE TRIGGER user_preferences_audit_update
  AFTER UPDATE OF default_sharing_level, family_access_level, emergency_contacts, hide_sensitive_conditions
  ON public.user_preferences FOR EACH ROW WHEN (
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
REVOKE ALL ON FUNCTION public.get_user_preferences(uuid), public.check_user_preferences()
  FROM PUBLIC, anon, authenticated, service_role;
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
