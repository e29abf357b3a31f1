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

CREATE FUNCTION public.security_facts(p_relations text[], p_functions text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH home AS (SELECT relowner FROM pg_class WHERE oid = 'public.audit_log'::regclass),
  rel AS (SELECT n AS name, c.* FROM unnest(p_relations) AS n JOIN pg_class AS c ON c.oid = to_regclass(n)),
  fun AS (SELECT n AS name, p.* FROM unnest(p_functions) AS n JOIN pg_proc AS p ON p.oid = to_regprocedure(n)),
  grants AS (
    SELECT r.name, r.relowner AS owner, '' AS col, 0 AS num, a.grantee, a.privilege_type AS may, a.is_grantable
    FROM rel AS r, aclexplode(coalesce(r.relacl, acldefault('r', r.relowner))) AS a
    UNION ALL
    SELECT r.name, r.relowner, t.attname, t.attnum, a.grantee, a.privilege_type, a.is_grantable
    FROM rel AS r JOIN pg_attribute AS t ON t.attrelid = r.oid, aclexplode(t.attacl) AS a
    UNION ALL
    SELECT f.name, f.proowner, '', 0, a.grantee, a.privilege_type, a.is_grantable
    FROM fun AS f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS a
  ),
  named AS (
    SELECT g.*, CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END
      || CASE WHEN is_grantable THEN ' (and pass on)' ELSE '' END AS who
    FROM grants AS g WHERE grantee <> owner
  )
  SELECT format('%s: %s%s', name,
    CASE WHEN relkind = 'v' THEN coalesce(array_to_string(reloptions, ','), 'no options')
      WHEN relrowsecurity THEN 'row security' ELSE 'NO row security' END,
    CASE WHEN relowner <> (SELECT relowner FROM home) THEN ', another owner' ELSE '' END)
  FROM rel
  UNION ALL
  SELECT format('%s: %s, %s%s', name, CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END,
    CASE WHEN 'search_path=pg_catalog, pg_temp' = ANY (proconfig) THEN 'pinned' ELSE 'search_path NOT pinned' END,
    CASE WHEN proowner <> (SELECT relowner FROM home) THEN ', another owner' ELSE '' END)
  FROM fun
  UNION ALL
  SELECT format('%s: %s may %s%s', name, who, may, ' of ' || string_agg(nullif(col, ''), ', ' ORDER BY num))
  FROM named WHERE NOT (who = 'guardian_operator' AND may IN ('SELECT', 'EXECUTE'))
  GROUP BY name, who, may, col = ''
  UNION ALL
  SELECT format('%s: policy %s for %s to %s%s%s', r.name, p.polname,
    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
      ELSE 'ALL' END,
    (SELECT string_agg(who, ', ' ORDER BY who)
     FROM unnest(p.polroles) AS o, LATERAL (SELECT CASE WHEN o = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o) END) AS w (who)
     WHERE who <> 'guardian_operator'),
    coalesce(' using ' || pg_get_expr(p.polqual, p.polrelid), ''),
    coalesce(' check ' || pg_get_expr(p.polwithcheck, p.polrelid), ''))
  FROM rel AS r JOIN pg_policy AS p ON p.polrelid = r.oid
  UNION ALL
  SELECT format('%s: trigger %s calls %s%s', r.name, t.tgname, t.tgfoid::regproc,
    CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ', DISABLED' END)
  FROM rel AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT format('%s: %s%s', r.name,
    CASE WHEN c.contype = 'f' THEN c.conname || ' ' || pg_get_constraintdef(c.oid) ELSE 'constraint ' || c.conname END,
    CASE WHEN c.contype = 'f' OR c.convalidated THEN '' ELSE ', NOT VALID' END)
  FROM rel AS r JOIN pg_constraint AS c ON c.conrelid = r.oid WHERE c.contype IN ('c', 'f', 'p', 'u', 'x')
    -- A key to a partitioned table is there once more for each of its partitions.
    AND NOT EXISTS (SELECT FROM pg_constraint AS w WHERE w.oid = c.conparentid AND w.conrelid = r.oid)
  UNION ALL
  SELECT format('%s: %sindex %s%s', r.name, CASE WHEN i.indisunique THEN 'unique ' ELSE '' END, i.indexrelid::regclass,
    CASE WHEN i.indisvalid THEN '' ELSE ', INVALID' END)
  FROM rel AS r JOIN pg_index AS i ON i.indrelid = r.oid
  WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.conrelid = r.oid)
$$;
COMMENT ON FUNCTION public.security_facts(text[], text[]) IS
  'What the catalogue says of relations and functions that matters for their safety, one line a fact; for verify.sql.';

-- The settings decide how the catalogue writes names, times and intervals. The order of columns does not count.
CREATE FUNCTION public.definition_facts(p_objects text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres SET datestyle = 'ISO, MDY'
SET timezone = 'UTC' SET quote_all_identifiers = off AS $$
  SELECT format('definition of %s: %s', o, coalesce(left(md5(CASE
    WHEN o LIKE '%(%' THEN (SELECT concat(p.provolatile, ' ', replace(p.prosrc, E'\r', '')) FROM pg_proc AS p
      WHERE p.oid = to_regprocedure(o))
    WHEN o LIKE '% on %' THEN (SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE NOT t.tgisinternal
      AND t.tgrelid = to_regclass(split_part(o, ' on ', 2)) AND t.tgname = split_part(o, ' on ', 1))
    ELSE (SELECT string_agg(d.line, ';' ORDER BY d.line COLLATE "C") FROM (
      SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(f.adbin, f.adrelid))
      FROM pg_attribute AS a LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
      WHERE a.attrelid = to_regclass(o) AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint AS c
      WHERE c.conrelid = to_regclass(o) AND c.contype IN ('c', 'p', 'u', 'x')
      UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index AS i WHERE i.indrelid = to_regclass(o)
      UNION ALL SELECT pg_get_viewdef(v.oid) FROM pg_class AS v WHERE v.oid = to_regclass(o) AND v.relkind = 'v'
    ) AS d (line)) END), 8), 'none'))
  FROM unnest(p_objects) AS o
$$;
COMMENT ON FUNCTION public.definition_facts(text[]) IS
  'A short hash of what functions, triggers ("name on table"), tables and views do: bodies, WHEN clauses, columns, checks, '
  'indexes. Names alone do not tell that something else was put in their place.';

CREATE FUNCTION public.assert_module(p_module text, p_expected text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_names text[] := ARRAY(SELECT DISTINCT split_part(e, ': ', 1) FROM unnest(p_expected) AS e);
  v_actual text[] := ARRAY(SELECT public.security_facts(
    ARRAY(SELECT n FROM unnest(v_names) AS n WHERE n NOT LIKE 'definition of %' AND n NOT LIKE '%(%'),
    ARRAY(SELECT n FROM unnest(v_names) AS n WHERE n NOT LIKE 'definition of %' AND n LIKE '%(%'))
    UNION ALL SELECT public.definition_facts(
      ARRAY(SELECT substr(n, 15) FROM unnest(v_names) AS n WHERE n LIKE 'definition of %')));
  v_bad text;
BEGIN
  SELECT string_agg(line, '; ' ORDER BY line) INTO v_bad FROM (
    SELECT 'missing [' || e || ']' AS line FROM unnest(p_expected) AS e WHERE e <> ALL (v_actual)
    UNION ALL
    SELECT 'not expected [' || a || ']' FROM unnest(v_actual) AS a WHERE a <> ALL (p_expected)
  ) AS bad;
  IF v_bad IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'GM001', MESSAGE = format('module %s is not as it was made: %s', p_module, v_bad);
  END IF;
END
$$;
COMMENT ON FUNCTION public.assert_module(text, text[]) IS
  'Raises GM001 that names every difference between security_facts, and where asked for definition_facts, of the objects '
  'named and what is expected of them.';

-- One statement trigger stops all three, TRUNCATE included; it fires even where no row matches.
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('the audit trail is append-only');

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY audit_log_read ON public.audit_log FOR SELECT TO service_role USING (true);

REVOKE ALL ON public.audit_log FROM PUBLIC, anon, authenticated, service_role;
GRANT SELECT ON public.audit_log TO service_role;
REVOKE ALL ON FUNCTION public.refuse_change(), public.set_updated_at(), public.caller_role(), public.caller_is_operator(), public.caller_is_trusted(),
  public.require_read_committed(), public.write_audit_log(text, text, text, text[]), public.is_passed_over(text, text),
  public.pass_over(text, text), public.audit_row(), public.is_ledger_batch(regclass),
  public.security_facts(text[], text[]), public.definition_facts(text[]), public.assert_module(text, text[])
  FROM PUBLIC, anon, authenticated, service_role;
-- A trigger's WHEN is evaluated as whoever writes.
GRANT EXECUTE ON FUNCTION public.is_ledger_batch(regclass) TO PUBLIC;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'guardian_operator') THEN
    GRANT SELECT ON public.audit_log TO guardian_operator;
    ALTER POLICY audit_log_read ON public.audit_log TO service_role, guardian_operator;
  END IF;
END
$$;
