-- Slow statements, indexes, sessions.

CREATE FUNCTION public.slow_queries(p_limit integer DEFAULT 10)
RETURNS TABLE (query text, calls bigint, mean_exec_time double precision, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_schema text := (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'pg_stat_statements');
BEGIN
  IF v_schema IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'pg_stat_statements is not installed in this database',
      HINT = 'CREATE EXTENSION pg_stat_statements; the server must preload it (shared_preload_libraries).';
  END IF;
  -- Only planned statements are stored without their constants; utility statements, quotes and comments may hold values.
  RETURN QUERY EXECUTE format(
    $sql$SELECT CASE WHEN s.query ~* '^\s*(select|insert|update|delete|merge|with|values|table)\M'
        AND s.query !~ '''|--|/\*|\$[^0-9]' THEN s.query ELSE '(text withheld: it may hold values of rows)' END,
      s.calls, s.mean_exec_time, s.rows
    FROM %I.pg_stat_statements AS s WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY s.mean_exec_time DESC LIMIT $1$sql$, v_schema) USING greatest(p_limit, 0);
END
$$;
COMMENT ON FUNCTION public.slow_queries(integer) IS
  'The statements with the longest mean time in milliseconds, as texts without constants. Other roles'' texts are shown '
  'only if the owner of this function is a member of pg_read_all_stats.';

CREATE FUNCTION public.reindex_statement(p_table regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_statement text := (SELECT format('REINDEX TABLE CONCURRENTLY %I.%I', n.nspname, c.relname)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = p_table AND c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_');
BEGIN
  IF v_statement IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42809', MESSAGE = 'only a table outside the system''s schemas can be reindexed';
  END IF;
  RETURN v_statement;
END
$$;
COMMENT ON FUNCTION public.reindex_statement(regclass) IS
  'The statement that rebuilds a table''s indexes without blocking its writers. To be run by itself, outside a '
  'transaction: CONCURRENTLY works neither in one nor in a function.';

-- Expected size of a B-tree: 8 bytes of header and 4 of line pointer an entry, columns at their average width, pages 90 %
-- full (PostgreSQL manual, 67.4 and 73.6). Deduplication makes an index smaller than that, never larger.
CREATE FUNCTION public.indexes_to_rebuild()
RETURNS TABLE (index_name text, table_name text, reason text, size_bytes bigint, statement text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH found AS (
    SELECT i.indexrelid, i.indisvalid AND i.indisready AS usable, c.relname, n.nspname, am.amname, c.reltuples,
      -- More rows written since than ANALYZE counted: the figure says nothing of what is there.
      pg_stat_get_mod_since_analyze(i.indrelid) > greatest(c.reltuples, 1000) AS stale,
      i.indrelid::regclass::text AS on_table, pg_relation_size(i.indexrelid) AS bytes, (
        SELECT sum(coalesce(s.avg_width, x.avg_width, 8))
        FROM pg_attribute AS a
        JOIN pg_class AS t ON t.oid = i.indrelid
        LEFT JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[a.attnum - 1]
        LEFT JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = k.attname
        LEFT JOIN pg_stats AS x ON x.schemaname = n.nspname AND x.tablename = c.relname AND x.attname = a.attname
        WHERE a.attrelid = i.indexrelid
      ) AS width
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_am AS am ON am.oid = c.relam
    WHERE n.nspname = 'public' AND c.relkind = 'i'
  ), judged AS (
    SELECT f.*, f.bytes / greatest(8192.0, f.reltuples * (12 + 8 * ceil(f.width / 8.0)) / 0.9 * 8192 / 8152) AS times
    FROM found AS f
  )
  SELECT format('%I.%I', nspname, relname), on_table,
    CASE WHEN NOT usable THEN 'invalid: the planner does not use it'
      ELSE format('about %s times as large as its entries need', round(times::numeric, 1)) END,
    bytes,
    CASE WHEN NOT usable AND relname ~ '_cc(new|old)[0-9]*$' THEN format('DROP INDEX CONCURRENTLY %I.%I', nspname, relname)
      ELSE format('REINDEX INDEX CONCURRENTLY %I.%I', nspname, relname) END
  FROM judged
  WHERE NOT usable OR amname = 'btree' AND reltuples >= 0 AND NOT stale AND bytes >= 1048576 AND times >= 2
  ORDER BY usable, bytes DESC
$$;
COMMENT ON FUNCTION public.indexes_to_rebuild() IS
  'Indexes of schema public that are invalid, or at least 1 MiB and twice as large as their entries need by ANALYZE''s '
  'figures, where these are no older than most rows, with the statement to run by itself outside a transaction.';

CREATE FUNCTION public.migration_status(p_migration_type text DEFAULT 'v6_to_v7')
RETURNS TABLE (migration_type text, status text, records_processed bigint, records_failed bigint, error_summary jsonb,
  session_id uuid, completed_steps integer, total_steps integer, current_step text, started_at timestamptz,
  completed_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.migration_type, s.status, s.records_processed, s.records_failed, s.error_summary, s.id, s.completed_steps,
    s.total_steps, s.current_step, s.started_at, s.completed_at
  FROM public.migration_sessions AS s WHERE s.migration_type = p_migration_type ORDER BY s.created_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION public.migration_status(text) IS
  'The latest session of a type: v6_to_v7, or v7_to_v6_rollback for the latest emergency rollback.';
