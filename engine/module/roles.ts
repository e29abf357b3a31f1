/**
 * SQL: each role and database with a hash of how it is: attributes and rights, memberships, settings. They are the whole
 * server's, and who wrote a role's row is a superuser's to see (pg_authid), so that what somebody else changes of a role in
 * the same moments is taken for ours. Not told are a password, VALID UNTIL, and a role that is new: tools that lend roles
 * (Vault and the like) set and make these all the time. Of a DO block its words tell them (files/writes.ts).
 * @see PostgreSQL manual, 53 (pg_roles, pg_auth_members, pg_db_role_setting, pg_database)
 */
export const rolesAndDatabases = `
SELECT 'pg_catalog.pg_authid'::regclass::oid AS class, r.oid, pg_catalog.hashtext(pg_catalog.concat_ws(' ',
    ROW(r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolconnlimit, r.rolbypassrls)::text,
    (SELECT pg_catalog.string_agg(m::text, ' ' ORDER BY m::text) FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid),
    (SELECT pg_catalog.string_agg(s::text, ' ' ORDER BY s::text) FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid)
  )) AS columns, true AS altered, pg_catalog.pg_current_xact_id()::xid AS born
FROM pg_catalog.pg_roles r
UNION ALL
SELECT 'pg_catalog.pg_database'::regclass::oid, d.oid, pg_catalog.hashtext(pg_catalog.concat_ws(' ',
    ROW(d.datname, d.datdba, d.datallowconn, d.datconnlimit, d.datistemplate, d.datacl)::text,
    (SELECT pg_catalog.string_agg(s::text, ' ' ORDER BY s::text) FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = 0
       AND (s.setdatabase = d.oid OR s.setdatabase = 0 AND d.datname = pg_catalog.current_database()))
  )), true, pg_catalog.pg_current_xact_id()::xid
FROM pg_catalog.pg_database d`;

/** SQL: that each is there at all. */
export const wasThere = `
SELECT 'pg_catalog.pg_authid'::regclass::oid, oid, 1, false, pg_catalog.pg_current_xact_id()::xid FROM pg_catalog.pg_roles
UNION ALL SELECT 'pg_catalog.pg_database'::regclass::oid, oid, 1, false, pg_catalog.pg_current_xact_id()::xid FROM pg_catalog.pg_database`;
