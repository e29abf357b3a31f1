-- Audit trail, and what every later module shares. Nothing here touches a v6 relation.

CREATE TABLE public.audit_log (
  id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT audit_log_pkey PRIMARY KEY,
  table_name text NOT NULL
    CONSTRAINT audit_log_table_name_check CHECK (table_name ~ '^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$'),
  record_key text NOT NULL
    CONSTRAINT audit_log_record_key_check CHECK (record_key ~ '^[A-Za-z0-9_:.,-]{1,200}$'),
  action text NOT NULL
    CONSTRAINT audit_log_action_check CHECK (action ~ '^[A-Z][A-Z_]{1,31}$'),
  changed_columns text[] NOT NULL DEFAULT '{}',
  actor uuid,
  actor_role text NOT NULL,
  occurred_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE public.audit_log IS
  'Who did what to which record and when. Append-only; keys and column names, never a value of a row.';
COMMENT ON COLUMN public.audit_log.id IS
  'Random, so that rows of two lives of this table never collide when an archive is brought back.';
COMMENT ON COLUMN public.audit_log.table_name IS 'Schema and table of the record.';
COMMENT ON COLUMN public.audit_log.record_key IS 'Primary key of the record as text; several columns joined by commas.';
COMMENT ON COLUMN public.audit_log.action IS 'INSERT, UPDATE, DELETE or what a module calls its own act, in capitals.';
COMMENT ON COLUMN public.audit_log.changed_columns IS 'Names of the columns an UPDATE changed, updated_at aside.';
COMMENT ON COLUMN public.audit_log.actor IS
  'auth.uid() of the request. No foreign key: the trail outlives the account.';
COMMENT ON COLUMN public.audit_log.actor_role IS
  'Database role of the request, seen through SECURITY DEFINER functions.';

CREATE INDEX audit_log_record_idx ON public.audit_log (table_name, record_key, occurred_at);
CREATE INDEX audit_log_occurred_at_idx ON public.audit_log USING brin (occurred_at);

CREATE FUNCTION public.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '42501',
    MESSAGE = format('%s of %I.%I is refused: %s', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]);
END
$$;
COMMENT ON FUNCTION public.refuse_change() IS
  'Trigger: refuses the statement, for the owner too; its argument says why.';

CREATE FUNCTION public.set_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- The ledger knows a batch of the migration by its transaction's time.
  NEW.updated_at := CASE
    WHEN current_setting('guardian_migration.batch', true) <> '' AND public.is_ledger_batch(TG_RELID)
      THEN transaction_timestamp()
    ELSE clock_timestamp() END;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.set_updated_at() IS
  'Trigger BEFORE UPDATE: a changed row never keeps the time of the transaction that first wrote it, unless that is a batch of the migration.';

-- GUC "role" is the SET ROLE of the session and stays visible inside SECURITY DEFINER, where current_user is the owner.
CREATE FUNCTION public.caller_role() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(nullif(current_setting('role'), 'none'), session_user::text)
$$;
COMMENT ON FUNCTION public.caller_role() IS 'Database role of the request, also inside SECURITY DEFINER functions.';

CREATE FUNCTION public.caller_is_operator() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM pg_roles AS r, pg_class AS c
    WHERE c.oid = 'public.audit_log'::regclass AND (r.rolname = 'guardian_operator' OR r.oid = c.relowner)
      AND pg_has_role(public.caller_role()::name, r.oid, 'USAGE')
  )
$$;
COMMENT ON FUNCTION public.caller_is_operator() IS
  'Whether the request comes from the owner of the v7 tables, a superuser or a member of guardian_operator.';

CREATE FUNCTION public.caller_is_trusted() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_has_role(public.caller_role()::name, 'service_role', 'USAGE') OR public.caller_is_operator()
$$;
COMMENT ON FUNCTION public.caller_is_trusted() IS
  'Whether the request may act for any user: service_role (the edge functions) or an operator.';

-- At a higher level every statement sees what the transaction's first one saw, whatever was waited for since.
CREATE FUNCTION public.require_read_committed() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION USING ERRCODE = '25000', MESSAGE =
      'this function waits for a lock and then decides by what is true by then: call it at isolation level read committed';
  END IF;
END
$$;
COMMENT ON FUNCTION public.require_read_committed() IS
  'Refuses (25000) a transaction of another isolation level; for functions that lock and then decide by other rows.';

-- SECURITY INVOKER on purpose: if EXECUTE were ever granted by mistake, the caller would still lack INSERT.
CREATE FUNCTION public.write_audit_log(p_table text, p_record_key text, p_action text, p_changed_columns text[])
RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO public.audit_log (table_name, record_key, action, changed_columns, actor, actor_role)
  VALUES (p_table, p_record_key, p_action, coalesce(p_changed_columns, '{}'), auth.uid(), public.caller_role())
$$;
COMMENT ON FUNCTION public.write_audit_log(text, text, text, text[]) IS
  'The one writer of audit_log; called by the owner''s SECURITY DEFINER functions and triggers only.';

-- PostgreSQL's own error of a CHECK, or of NOT NULL, quotes the whole row, to the caller and into the log. An error that is caught
-- is written nowhere.
CREATE FUNCTION public.refuse_without_values(p_sqlstate text, p_table text, p_constraint text, p_column text,
  p_hint text DEFAULT 'The CHECK of that name says what is taken; a column that is named must have a value.')
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = p_sqlstate, SCHEMA = 'public', TABLE = p_table, CONSTRAINT = coalesce(p_constraint, ''),
    COLUMN = coalesce(p_column, ''), HINT = p_hint, MESSAGE = format('%s takes no such value%s; the value is not told', p_table,
      coalesce(': ' || coalesce(nullif(p_constraint, ''), nullif(p_column, '')), ''));
END
$$;
COMMENT ON FUNCTION public.refuse_without_values(text, text, text, text, text) IS
  'Raises the error of a constraint anew, by its names alone.';

-- A job of all passes over the row that it cannot do. WARNINGs carry counts only; here stands which rows, once a day each.
CREATE FUNCTION public.is_passed_over(p_table text, p_record_key text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM public.audit_log AS a WHERE a.table_name = p_table AND a.record_key = p_record_key
    AND a.action = 'PASSED_OVER' AND a.occurred_at > clock_timestamp() - interval '1 day')
$$;
COMMENT ON FUNCTION public.is_passed_over(text, text) IS 'Whether a job passed over a row within a day.';

CREATE FUNCTION public.pass_over(p_table text, p_record_key text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT public.write_audit_log(p_table, p_record_key, 'PASSED_OVER', NULL)
  WHERE NOT public.is_passed_over(p_table, p_record_key)
$$;
COMMENT ON FUNCTION public.pass_over(text, text) IS
  'Notes in audit_log, action PASSED_OVER, that a job could not do a row and went on without it; once a day.';

-- Column by column, and only the key becomes text: a row as a whole may be more than jsonb takes (256 MB), and then nobody
-- could delete it, nor the account it belongs to. *<> compares what is stored, for a type without an equality too.
CREATE FUNCTION public.audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_key text;
  v_changed text[];
BEGIN
  EXECUTE (SELECT format('SELECT concat_ws('','', %s)', string_agg(format('($1).%I', a.key), ', ' ORDER BY a.place))
    FROM unnest(TG_ARGV) WITH ORDINALITY AS a (key, place))
  INTO v_key USING CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
  IF TG_OP = 'UPDATE' THEN
    EXECUTE (SELECT format('SELECT array_remove(ARRAY[%s], NULL)', string_agg(format(
      'CASE WHEN ROW(($1).%1$I)::record *<> ROW(($2).%1$I)::record THEN %1$L END', a.attname), ', ' ORDER BY a.attname))
      FROM pg_attribute AS a
      WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'updated_at')
    INTO v_changed USING OLD, NEW;
  END IF;
  PERFORM public.write_audit_log(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, v_key, TG_OP, v_changed);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION public.audit_row() IS
  'Trigger AFTER a row''s change: one row of audit_log. Its arguments are the columns of the primary key.';

-- The setting can be forged by anyone, the ledger's row cannot. Made for WHEN of statement triggers: evaluated once a
-- statement, as the role that writes. A row trigger would pay about 10 microseconds a row for it.
CREATE FUNCTION public.is_ledger_batch(p_table regclass) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_batch text := current_setting('guardian_migration.batch', true);
  v_running boolean;
BEGIN
  IF v_batch IS NULL OR v_batch !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    RETURN false;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner
    WHERE c.oid = p_table AND r.rolname = current_user
  ) OR to_regclass('guardian_migration.batch') IS NULL THEN
    RETURN false;
  END IF;
  SELECT b.pid = pg_backend_pid() AND b.state = 'running' INTO v_running
  FROM guardian_migration.batch AS b WHERE b.id = v_batch::uuid;
  RETURN coalesce(v_running, false);
END
$$;
COMMENT ON FUNCTION public.is_ledger_batch(regclass) IS
  'Whether this statement is a batch of the migration, audited by its ledger and not row by row.';
