/**
 * Facts that a schema dump leaves out (manual, pg_dump, "Notes"), each a query that returns name and value. $1 is the
 * list of schemas left aside. Names of roles and objects instead of oids, access lists sorted and with the built-in
 * default filled in, so that a grant that came and went leaves no difference.
 */
export const catalogueFacts: Record<string, string> = {
  role: `
    SELECT rolname AS name, (to_jsonb(r) - 'oid' - 'rolname' - 'rolpassword' - 'rolconfig')::text AS value
    FROM pg_roles r WHERE rolname !~ '^pg_'`,

  "role membership": `
    SELECT format('%s in %s, granted by %s', pg_get_userbyid(m.member), pg_get_userbyid(m.roleid),
        pg_get_userbyid(m.grantor)) AS name,
      (to_jsonb(m) - 'oid' - 'roleid' - 'member' - 'grantor')::text AS value
    FROM pg_auth_members m WHERE m.member >= 16384 OR m.roleid >= 16384`,

  // ALTER DATABASE … SET and ALTER ROLE … SET; pg_dump has them only with --create. Values may be secrets.
  setting: `
    SELECT format('%s for %s in %s', split_part(entry, '=', 1),
        CASE s.setrole WHEN 0 THEN 'every role' ELSE pg_get_userbyid(s.setrole)::text END,
        CASE s.setdatabase WHEN 0 THEN 'every database' ELSE 'this database' END) AS name,
      encode(sha256(convert_to(entry, 'UTF8')), 'hex') AS value
    FROM pg_db_role_setting s, unnest(s.setconfig) AS entry
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))`,

  database: `
    SELECT 'properties' AS name, concat_ws(' ', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate,
      datctype, datistemplate, datallowconn, datconnlimit, (SELECT spcname FROM pg_tablespace WHERE oid = dattablespace))
      AS value
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'rights', (SELECT string_agg(concat_ws(' ', CASE a.grantee WHEN 0 THEN 'PUBLIC'
          ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable), ', '
          ORDER BY pg_get_userbyid(a.grantee), a.privilege_type)
        FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) AS a)
    FROM pg_database WHERE datname = current_database()`,

  "default rights": `
    SELECT format('of %s on %s in %s', pg_get_userbyid(d.defaclrole), CASE d.defaclobjtype WHEN 'r' THEN 'tables'
        WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas'
        ELSE d.defaclobjtype::text END, coalesce(n.nspname, 'every schema')) AS name,
      (SELECT string_agg(concat_ws(' ', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END,
          a.privilege_type, a.is_grantable), ', ' ORDER BY pg_get_userbyid(a.grantee), a.privilege_type)
        FROM aclexplode(d.defaclacl) AS a) AS value
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    WHERE n.nspname IS NULL OR n.nspname <> ALL ($1::text[])`,

  "event trigger": `
    SELECT evtname AS name, concat_ws(' ', evtevent, evtenabled, evtfoid::regprocedure, evttags) AS value
    FROM pg_event_trigger`,

  "parameter rights": `
    SELECT parname AS name, array_to_string(paracl, ' ') AS value FROM pg_parameter_acl`,

  tablespace: `
    SELECT spcname AS name, concat_ws(' ', pg_get_userbyid(spcowner), spcacl, spcoptions) AS value FROM pg_tablespace`,

  extension: `
    SELECT extname AS name, concat_ws(' ', extversion, n.nspname, pg_get_userbyid(extowner)) AS value
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace`,

  // Only a superuser's dump has these.
  subscription: `
    SELECT subname AS name, concat_ws(' ', subenabled, subslotname, subpublications) AS value
    FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()`,

  "replication slot": `
    SELECT slot_name AS name, concat_ws(' ', slot_type, plugin) AS value
    FROM pg_replication_slots WHERE database = current_database()`,

  "prepared transaction": `
    SELECT gid AS name, owner::text AS value FROM pg_prepared_xacts WHERE database = current_database()`,

  // A failed CREATE INDEX CONCURRENTLY leaves one behind that costs every write, and pg_dump passes over it.
  "invalid index": `
    SELECT format('%I.%I', n.nspname, c.relname) AS name, concat_ws(' ', indisvalid, indisready, indislive) AS value
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT (indisvalid AND indisready AND indislive) AND n.nspname <> ALL ($1::text[] || '{pg_toast}'::text[])`,

  // The triggers behind foreign keys too: ALTER TABLE … DISABLE TRIGGER ALL stops a cascade, and no dump says so. Those
  // of keys that come from a schema left aside are the business of "tie" and cascadeKeys.
  "trigger state": `
    SELECT format('%s on %s', CASE WHEN t.tgisinternal THEN format('%s of %s.%s', p.proname, k.conrelid::regclass,
        k.conname) ELSE quote_ident(t.tgname) END, t.tgrelid::regclass) AS name,
      string_agg(t.tgenabled::text, '' ORDER BY t.oid) AS value
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
    LEFT JOIN pg_class kc ON kc.oid = k.conrelid LEFT JOIN pg_namespace kn ON kn.oid = kc.relnamespace
    WHERE n.nspname <> ALL ($1::text[]) AND (kn.nspname IS NULL OR kn.nspname <> ALL ($1::text[]))
    GROUP BY 1`,

  relation: `
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
      concat_ws(' ', c.relkind, c.relpersistence, a.amname, s.spcname, pg_get_userbyid(c.relowner)) AS value
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_am a ON a.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ($1::text[])`,
};

/** Kinds whose values may be secrets or are digests: a difference names them and shows nothing. */
export const hiddenKinds = new Set(["setting", "catalogue"]);
