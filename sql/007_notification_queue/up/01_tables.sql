-- Notifications: what users are told, when and by which channel. Workers take them by lease. The triggers on consents and
-- on the document queue, both ours, are made before v6 is touched.

CREATE TABLE public.notification_queue (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT notification_queue_pkey PRIMARY KEY,
  user_id uuid NOT NULL,
  notification_type text NOT NULL CONSTRAINT notification_queue_type_check CHECK (notification_type IN (
    'document_processed', 'new_clinical_finding', 'medication_reminder', 'appointment_reminder', 'care_team_message',
    'consent_expiring', 'consent_updated', 'data_sharing_request', 'system_maintenance', 'system_upgrade',
    'feature_introduction', 'security_alert', 'health_insight', 'emergency_alert', 'digest_summary')),
  priority text NOT NULL DEFAULT 'normal'
    CONSTRAINT notification_queue_priority_check CHECK (priority IN ('urgent', 'high', 'normal', 'low')),
  category text NOT NULL DEFAULT 'administrative' CONSTRAINT notification_queue_category_check
    CHECK (category IN ('clinical', 'administrative', 'social', 'technical', 'marketing')),
  title text NOT NULL CONSTRAINT notification_queue_title_check CHECK (length(title) BETWEEN 1 AND 200)
    -- What becomes a Subject, or a line of a digest.
    CONSTRAINT notification_queue_title_line CHECK (title !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  body text NOT NULL CONSTRAINT notification_queue_body_check CHECK (length(body) BETWEEN 1 AND 4000),
  data jsonb NOT NULL DEFAULT '{}'
    CONSTRAINT notification_queue_data_check CHECK (jsonb_typeof(data) = 'object')
    CONSTRAINT notification_queue_data_bound CHECK (octet_length(data::text) <= 1048576),
  delivery_channels text[] NOT NULL DEFAULT '{in_app}'
    CONSTRAINT notification_queue_channels_check CHECK (delivery_channels <> '{}'
      AND delivery_channels <@ '{email,sms,push,in_app}'::text[])
    CONSTRAINT notification_queue_channels_bound CHECK (cardinality(delivery_channels) <= 16),
  scheduled_for timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  respect_quiet_hours boolean NOT NULL DEFAULT true,
  digest_eligible boolean NOT NULL DEFAULT true,
  dedup_key text CONSTRAINT notification_queue_dedup_key_check CHECK (length(dedup_key) BETWEEN 1 AND 200)
    CONSTRAINT notification_queue_dedup_key_line CHECK (dedup_key !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  status text NOT NULL DEFAULT 'queued' CONSTRAINT notification_queue_status_check CHECK (status IN (
    'queued', 'scheduled', 'processing', 'delivered', 'failed', 'expired', 'cancelled', 'suppressed')),
  next_attempt_at timestamptz,
  for_digest boolean NOT NULL DEFAULT false,
  digest_id uuid,
  attempts integer NOT NULL DEFAULT 0 CONSTRAINT notification_queue_attempts_check CHECK (attempts >= 0),
  lease_token uuid,
  leased_by text CONSTRAINT notification_queue_leased_by_bound CHECK (octet_length(leased_by) <= 1024)
    CONSTRAINT notification_queue_leased_by_line CHECK (leased_by !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  error_code text CONSTRAINT notification_queue_error_code_check CHECK (error_code ~ '^[A-Za-z0-9_.:-]{1,64}$'),
  delivered_channels text[] NOT NULL DEFAULT '{}' CONSTRAINT notification_queue_delivered_bound
    CHECK (cardinality(delivered_channels) <= 16 AND octet_length(delivered_channels::text) <= 1024)
    CONSTRAINT notification_queue_delivered_line CHECK (delivered_channels::text !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  failed_channels text[] NOT NULL DEFAULT '{}' CONSTRAINT notification_queue_failed_bound
    CHECK (cardinality(failed_channels) <= 16 AND octet_length(failed_channels::text) <= 1024)
    CONSTRAINT notification_queue_failed_line CHECK (failed_channels::text !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  delivered_at timestamptz,
  read_at timestamptz,
  clicked_at timestamptz,
  dismissed_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT notification_queue_lease_check CHECK ((status = 'processing') = (lease_token IS NOT NULL)),
  CONSTRAINT notification_queue_times_check CHECK (isfinite(scheduled_for) AND isfinite(expires_at)),
  CONSTRAINT notification_queue_digest_check CHECK (NOT for_digest OR status = 'scheduled')
);
COMMENT ON TABLE public.notification_queue IS
  'One row a message to a user, from its order to its delivery. Written by functions, and by the owner''s INSERTs.';
COMMENT ON COLUMN public.notification_queue.priority IS 'urgent before high before normal before low: by rank, not by letter.';
COMMENT ON COLUMN public.notification_queue.category IS 'marketing is delivered only under a consent to it.';
COMMENT ON COLUMN public.notification_queue.data IS 'Keys and links for the application; no clinical values.';
COMMENT ON COLUMN public.notification_queue.delivery_channels IS
  'What the sender asks for; used is what the user has enabled and verified when it is delivered.';
COMMENT ON COLUMN public.notification_queue.scheduled_for IS 'Not before.';
COMMENT ON COLUMN public.notification_queue.expires_at IS 'Not after; NULL: 30 days after scheduled_for.';
COMMENT ON COLUMN public.notification_queue.digest_eligible IS
  'May wait for the digest of a user who wants hourly, daily or weekly messages; urgent and high never wait.';
COMMENT ON COLUMN public.notification_queue.dedup_key IS
  'A user gets one message of a key. Without a key: one system message of the same words a day (UTC).';
COMMENT ON COLUMN public.notification_queue.status IS
  'queued, scheduled (put off: quiet hours, digest, another attempt), processing, delivered, failed, expired, '
  'cancelled, suppressed (in a digest, or no channel is left).';
COMMENT ON COLUMN public.notification_queue.next_attempt_at IS
  'When it is due if not at scheduled_for: end of quiet hours, digest, retry, or while processing the end of the lease.';
COMMENT ON COLUMN public.notification_queue.for_digest IS 'Waits for a digest.';
COMMENT ON COLUMN public.notification_queue.digest_id IS
  'The digest that lists it. No foreign key: rows come back from an archive in any order.';
COMMENT ON COLUMN public.notification_queue.lease_token IS
  'lease_digest() of the lease''s token, without which nobody ends the delivery; the token itself only its worker has.';
COMMENT ON COLUMN public.notification_queue.leased_by IS 'Name of the worker that took it last.';

CREATE TABLE public.notification_delivery_channels (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT notification_delivery_channels_pkey PRIMARY KEY,
  user_id uuid NOT NULL,
  channel_type text NOT NULL
    CONSTRAINT notification_delivery_channels_type_check CHECK (channel_type IN ('email', 'sms', 'push')),
  channel_identifier text NOT NULL CONSTRAINT notification_delivery_channels_identifier_check
    CHECK (length(channel_identifier) BETWEEN 3 AND 500)
    CONSTRAINT notification_delivery_channels_identifier_line CHECK (channel_identifier !~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]'),
  is_active boolean NOT NULL DEFAULT true,
  verified_at timestamptz,
  verification_hash bytea
    CONSTRAINT notification_delivery_channels_hash_bound CHECK (octet_length(verification_hash) <= 32),
  verification_expires_at timestamptz,
  verification_tries integer NOT NULL DEFAULT 0,
  -- Counted first: of a hundred million entries even the text is too large.
  notification_types_enabled text[] CONSTRAINT notification_delivery_channels_types_bound
    CHECK (cardinality(notification_types_enabled) <= 100 AND octet_length(notification_types_enabled::text) <= 10240),
  priority_threshold text NOT NULL DEFAULT 'low' CONSTRAINT notification_delivery_channels_threshold_check
    CHECK (priority_threshold IN ('urgent', 'high', 'normal', 'low')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- One recipient: in a header a comma begins the next, and a name in front of it says who it seems to be.
  CONSTRAINT notification_delivery_channels_address_check CHECK (CASE channel_type
    WHEN 'email' THEN regexp_like(channel_identifier, '^[^\s@,;:<>()"\\]+@[^\s@,;:<>()"\\]+$')
    WHEN 'sms' THEN regexp_like(channel_identifier, '^[+]?[0-9 ().-]+$') ELSE true END),
  CONSTRAINT notification_delivery_channels_key UNIQUE (user_id, channel_type, channel_identifier)
);
COMMENT ON TABLE public.notification_delivery_channels IS
  'Addresses a user wants messages at. Used once verified; without one of type email the account''s own address is.';
COMMENT ON COLUMN public.notification_delivery_channels.channel_identifier IS
  'One e-mail address, telephone number or device token, in one line.';
COMMENT ON COLUMN public.notification_delivery_channels.verification_hash IS
  'SHA-256 of the token that was sent; the token itself is stored nowhere. Readable by no API role.';
COMMENT ON COLUMN public.notification_delivery_channels.verification_tries IS 'Wrong tokens since the last one was sent.';
COMMENT ON COLUMN public.notification_delivery_channels.notification_types_enabled IS 'Types it takes; NULL: all.';
COMMENT ON COLUMN public.notification_delivery_channels.priority_threshold IS 'The least priority it takes; low: everything.';

-- A campaign reaches a user once. The guide's INSERTs bring no key: for system messages their words and the day are one.
CREATE UNIQUE INDEX notification_queue_once_key ON public.notification_queue (user_id,
  (coalesce(dedup_key, CASE WHEN notification_type IN ('system_maintenance', 'system_upgrade', 'feature_introduction')
    THEN md5(title || ' ' || body) END)),
  (CASE WHEN dedup_key IS NULL THEN (created_at AT TIME ZONE 'UTC')::date ELSE '-infinity'::date END));
CREATE INDEX notification_queue_claim_idx ON public.notification_queue
  ((array_position('{urgent,high,normal,low}'::text[], priority)), (coalesce(next_attempt_at, scheduled_for)))
  WHERE status IN ('queued', 'scheduled', 'processing');
