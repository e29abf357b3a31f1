-- Notes, their versions and conflicts.

CREATE FUNCTION public.save_collaborative_note(p_session_id uuid, p_title text, p_content text,
  p_note_id uuid DEFAULT NULL, p_expected_version integer DEFAULT NULL, p_note_type text DEFAULT 'progress_note',
  p_content_format text DEFAULT 'markdown')
RETURNS TABLE (result text, note_id uuid, version_number integer, conflict_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_role text := public.touch_collaboration(p_session_id);
  v_note public.collaborative_clinical_notes;
  v_conflict uuid;
  v_table text;
  v_constraint text;
  v_column text;
BEGIN
  IF v_role = 'viewer' THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a viewer writes no notes';
  ELSIF concat(p_title, p_note_type, p_content_format) ~ '[\u0001-\u001F\u007F-\u009F\u2028\u2029]' THEN
    -- The CHECK's own error would quote the note.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'only p_content has several lines; nothing else has control characters';
  END IF;
  IF p_note_id IS NULL THEN
    INSERT INTO public.collaborative_clinical_notes AS n
      (session_id, patient_id, note_type, title, content, content_format, primary_author, last_editor)
    SELECT s.id, s.patient_id, p_note_type, p_title, p_content, p_content_format, v_user, v_user
    FROM public.collaboration_sessions AS s WHERE s.id = p_session_id RETURNING n.* INTO v_note;
  ELSE
    SELECT n.* INTO v_note FROM public.collaborative_clinical_notes AS n
    WHERE n.id = p_note_id AND n.session_id = p_session_id FOR UPDATE;
    IF v_note.id IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'there is no such note in this session';
    ELSIF v_note.editorial_status = 'finalized' THEN
      RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the note is finalized';
    ELSIF v_note.version_number IS DISTINCT FROM p_expected_version THEN
      INSERT INTO public.collaboration_conflicts AS c (note_id, session_id, patient_id, user_id, conflict_type,
        expected_version, current_version, attempted_title, attempted_content)
      VALUES (v_note.id, p_session_id, v_note.patient_id, v_user, CASE WHEN p_expected_version BETWEEN 1 AND
        v_note.version_number THEN 'concurrent_edit' ELSE 'version_mismatch' END, p_expected_version,
        v_note.version_number, p_title, p_content) RETURNING c.id INTO v_conflict;
      RETURN QUERY SELECT 'conflict', v_note.id, v_note.version_number, v_conflict;
      RETURN;
    END IF;
    UPDATE public.collaborative_clinical_notes AS n SET title = p_title, content = p_content, last_editor = v_user,
      version_number = n.version_number + 1,
      -- What was approved is another text. A conflict that is merged or forced comes by here too.
      editorial_status = CASE WHEN n.editorial_status = 'approved'
        AND (n.title, n.content) IS DISTINCT FROM (p_title, p_content) THEN 'draft' ELSE n.editorial_status END
    WHERE n.id = p_note_id RETURNING n.* INTO v_note;
  END IF;
  INSERT INTO public.collaborative_note_versions (note_id, version_number, session_id, patient_id, title, content, editor)
  VALUES (v_note.id, v_note.version_number, p_session_id, v_note.patient_id, p_title, p_content, v_user);
  RETURN QUERY SELECT 'saved', v_note.id, v_note.version_number, NULL::uuid;
EXCEPTION WHEN check_violation OR not_null_violation THEN
  GET STACKED DIAGNOSTICS v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME, v_column = COLUMN_NAME;
  PERFORM public.refuse_without_values(SQLSTATE, v_table, v_constraint, v_column);
END
$$;
COMMENT ON FUNCTION public.save_collaborative_note(uuid, text, text, uuid, integer, text, text) IS
  'A new note, or with p_note_id the next version of one, if p_expected_version is still the present one: "saved". Else '
  '"conflict": the note stays, what was written is kept in collaboration_conflicts, version_number is the present one. '
  'An approved note whose title or content changes is a draft again.';

CREATE FUNCTION public.resolve_collaboration_conflict(p_conflict_id uuid, p_strategy text,
  p_expected_version integer DEFAULT NULL, p_title text DEFAULT NULL, p_content text DEFAULT NULL)
RETURNS TABLE (result text, note_id uuid, version_number integer, conflict_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_user uuid := public.collaboration_caller();
  v_conflict public.collaboration_conflicts;
  v_role text;
  v_saved record;
  v_version integer;
BEGIN
  IF coalesce(p_strategy, '') NOT IN ('merge', 'overwrite', 'discard')
    OR p_strategy = 'merge' AND (p_title IS NULL OR p_content IS NULL) THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_strategy is merge (with p_title, p_content), overwrite or discard';
  END IF;
  SELECT c.* INTO v_conflict FROM public.collaboration_conflicts AS c WHERE c.id = p_conflict_id;
  v_role := public.touch_collaboration(v_conflict.session_id);
  IF v_role = 'viewer' THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a viewer resolves no conflicts';
  ELSIF p_strategy = 'discard' AND v_role <> 'owner' AND (SELECT c.user_id = v_user
    FROM public.collaboration_conflicts AS c WHERE c.id = p_conflict_id) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = 'what was not saved is discarded by who wrote it or by the owner of the session';
  END IF;
  PERFORM FROM public.collaboration_conflicts AS c WHERE c.id = p_conflict_id AND c.status = 'detected' FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the conflict is resolved already';
  END IF;
  IF p_strategy <> 'discard' THEN
    SELECT * INTO v_saved FROM public.save_collaborative_note(v_conflict.session_id,
      CASE p_strategy WHEN 'merge' THEN p_title ELSE v_conflict.attempted_title END,
      CASE p_strategy WHEN 'merge' THEN p_content ELSE v_conflict.attempted_content END,
      v_conflict.note_id, p_expected_version);
    IF v_saved.result = 'conflict' THEN
      RETURN QUERY SELECT 'conflict', v_conflict.note_id, v_saved.version_number, v_saved.conflict_id;
      RETURN;
    END IF;
    v_version := v_saved.version_number;
  END IF;
  UPDATE public.collaboration_conflicts AS c SET status = 'resolved', resolution_strategy = p_strategy,
    resolved_by = v_user, resolved_at = clock_timestamp(), resolved_version = v_version
  WHERE c.id = p_conflict_id;
  RETURN QUERY SELECT 'resolved', n.id, n.version_number, p_conflict_id
  FROM public.collaborative_clinical_notes AS n WHERE n.id = v_conflict.note_id;
END
$$;
COMMENT ON FUNCTION public.resolve_collaboration_conflict(uuid, text, integer, text, text) IS
  'merge saves a text that joins both, overwrite the one that was refused, discard neither. The first two name the '
  'present version like any save, and may meet the next conflict. Only who wrote it, or the owner of the session, discards '
  'what was not saved (42501).';

CREATE FUNCTION public.set_note_status(p_note_id uuid, p_status text, p_expected_version integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_session uuid := (SELECT n.session_id FROM public.collaborative_clinical_notes AS n WHERE n.id = p_note_id);
  v_role text;
BEGIN
  v_role := public.touch_collaboration(v_session);
  IF v_role = 'viewer' THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a viewer writes no notes';
  -- The session is held: whose note it is, and who owns the session, is as it is now.
  ELSIF p_status = 'finalized' AND v_role <> 'owner' AND (SELECT n.primary_author = auth.uid()
    FROM public.collaborative_clinical_notes AS n WHERE n.id = p_note_id) IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a note is finalized by its author or by the owner of the session';
  ELSIF coalesce(p_status, '') NOT IN ('draft', 'review', 'approved', 'finalized') THEN
    -- The CHECK's own error would quote the note.
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'p_status is draft, review, approved or finalized';
  END IF;
  UPDATE public.collaborative_clinical_notes AS n SET editorial_status = p_status, last_editor = auth.uid(),
    finalized_at = CASE WHEN p_status = 'finalized' THEN clock_timestamp() END
  WHERE n.id = p_note_id AND n.version_number = p_expected_version AND n.editorial_status <> 'finalized';
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION public.set_note_status(uuid, text, integer) IS
  'draft, review, approved or finalized, for exactly the version that was read; false if it is another, or finalized. '
  'Only its author, or the owner of the session, finalizes a note (42501): nobody takes that back.';
