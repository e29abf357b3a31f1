/** True if an expression depends on a function or sequence outside the system's own schema: a module's go with it. */
const dependsOnOurs = (catalog: string, oid: string): string => `EXISTS (
  SELECT FROM pg_catalog.pg_depend f
  LEFT JOIN pg_catalog.pg_proc p ON f.refclassid = 'pg_catalog.pg_proc'::regclass AND p.oid = f.refobjid
  LEFT JOIN pg_catalog.pg_class s ON f.refclassid = 'pg_catalog.pg_class'::regclass AND s.oid = f.refobjid AND s.relkind = 'S'
  WHERE f.classid = 'pg_catalog.${catalog}'::regclass AND f.objid = ${oid} AND (p.pronamespace <> 'pg_catalog'::regnamespace
    OR (s.oid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o
        WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = s.oid AND o.refobjid = $1::regclass AND o.deptype IN ('a', 'i')))))`;

const grantee =
  "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END";

/**
 * Statements that leave nothing of a table ($1) but rows, columns, and keys to others: an archived table has no trigger,
 * policy, rule or publication, nothing that calls a function of the module, and only its owner has rights on it. Row
 * triggers of the system (foreign keys) stay with their constraints.
 */
export const detachSql = `
SELECT pg_catalog.format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) AS sql
  FROM pg_catalog.pg_trigger t WHERE t.tgrelid = $1::regclass AND NOT t.tgisinternal
UNION ALL
SELECT pg_catalog.format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass)
  FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::regclass
UNION ALL
SELECT pg_catalog.format('DROP RULE %I ON %s', r.rulename, r.ev_class::regclass)
  FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::regclass
UNION ALL
SELECT pg_catalog.format('ALTER PUBLICATION %I DROP TABLE %s', pub.pubname, r.prrelid::regclass)
  FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication pub ON pub.oid = r.prpubid WHERE r.prrelid = $1::regclass
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
  FROM pg_catalog.pg_constraint k WHERE k.conrelid = $1::regclass
    AND (k.contype = 'c' AND ${dependsOnOurs("pg_constraint", "k.oid")} OR k.contype = 'x' AND ${dependsOnOurs("pg_class", "k.conindid")})
UNION ALL
SELECT pg_catalog.format('DROP INDEX %s', i.indexrelid::regclass)
  FROM pg_catalog.pg_index i WHERE i.indrelid = $1::regclass AND ${dependsOnOurs("pg_class", "i.indexrelid")}
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
UNION ALL
SELECT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP %s', a.attrelid::regclass, a.attname,
    CASE WHEN a.attgenerated = '' THEN 'DEFAULT' ELSE 'EXPRESSION' END)
  FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  WHERE d.adrelid = $1::regclass AND ${dependsOnOurs("pg_attrdef", "d.oid")}
UNION ALL
SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s %s FROM %s CASCADE', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass, ${grantee})
  FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
  WHERE a.grantee <> c.relowner AND (c.oid = $1::regclass OR c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend o
    WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid AND o.refobjid = $1::regclass AND o.deptype IN ('a', 'i')))
UNION ALL
SELECT DISTINCT pg_catalog.format('REVOKE ALL (%I) ON TABLE %s FROM %s CASCADE', t.attname, t.attrelid::regclass, ${grantee})
  FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) a WHERE t.attrelid = $1::regclass`;
