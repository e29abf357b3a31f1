import {
  goesWith,
  indexBesides,
  named,
  passesExtension,
  quoted,
  relation,
  rights,
  since,
  tablespace,
  unlessOfExtension,
} from "./shared";

/** SQL: a line for each of some rows, in order. */
const lines = (line: string, order: string, from: string): string =>
  `(SELECT pg_catalog.string_agg(${line}, E'\\n' ORDER BY ${order}) FROM ${from})`;

/** Relations of the schemas $1. */
export const relations = (version: number): string => `
  SELECT c.*, ${relation} AS full_name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY ($1) AND ${passesExtension(version, "pg_class", "c.oid")}`;

/** How a relation's rows are stored: unlike what is usual only. */
const storage = `
  CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END, ${tablespace("c.reltablespace")},
  (SELECT 'access method ' || ${quoted("m.amname")} FROM pg_catalog.pg_am m WHERE m.oid = c.relam AND m.amname <> 'heap'),
  (SELECT 'options of its toast table ' || t.reloptions::text FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid)`;

/** What rules a relation has besides a view's own query, and whether they are at work. */
const rules = lines(
  "'rule ' || pg_catalog.pg_get_ruledef(r.oid) || ' fires ' || r.ev_enabled::text",
  "r.rulename",
  "pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND (r.rulename <> '_RETURN' OR r.ev_enabled <> 'O')",
);

/** Columns as far as the first version of the inventory did not tell: unlike what is usual for their type. */
const columnsBesides = lines(
  `pg_catalog.concat_ws(' ', 'column', ${quoted("a.attname")}, 'statistics ' || nullif(a.attstattarget, -1),
      CASE WHEN a.attstorage <> y.typstorage THEN 'storage ' || a.attstorage::text END,
      'compression ' || nullif(a.attcompression::text, ''), 'options ' || a.attoptions::text,
      CASE WHEN a.attcollation <> y.typcollation THEN 'collation ' || a.attcollation::regcollation::text END)`,
  "a.attnum",
  `pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (coalesce(a.attstattarget, -1) <> -1
     OR a.attstorage <> y.typstorage OR a.attcompression <> '' OR a.attoptions IS NOT NULL OR a.attcollation <> y.typcollation)`,
);

/** Names in which lines break: two columns could else be told like one. */
const brokenNames = lines(
  "'line break in ' || b.what",
  "b.what",
  `(SELECT 'column ' || a.attnum AS what FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname ~ E'\\n'
    UNION ALL SELECT 'constraint ' || ${quoted("k.conname")} FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.conname ~ E'\\n') b`,
);

/** Since PostgreSQL 18 a NOT NULL is a constraint too, whose name an upgrade of the server makes up. */
const oddNotNull = lines(
  `pg_catalog.concat_ws(' ', 'not null', ${quoted("a.attname")}, CASE WHEN NOT k.convalidated THEN 'not valid' END, CASE WHEN k.connoinherit THEN 'no inherit' END)`,
  "a.attnum",
  `pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
   WHERE k.conrelid = c.oid AND k.contype = 'n' AND (NOT k.convalidated OR k.connoinherit)`,
);

/** ALTER TABLE … DISABLE TRIGGER ALL stops foreign keys and deferred constraints: on either side of the key. */
const silentConstraints = lines(
  `'constraint ' || ${quoted("k.conname")} || ' fires ' || t.tgenabled::text || ' on ' || ${named("t.tgrelid")}`,
  "k.conname, t.tgfoid, t.tgrelid",
  `pg_catalog.pg_constraint k JOIN pg_catalog.pg_trigger t ON t.tgconstraint = k.oid AND t.tgisinternal
   WHERE k.conrelid = c.oid AND t.tgenabled <> 'O'`,
);

/** Triggers that a partition has from its partitioned table: nothing else is its own of them. */
const silentCopies = lines(
  `'trigger ' || ${quoted("t.tgname")} || ' fires ' || t.tgenabled::text`,
  "t.tgname",
  "pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgparentid <> 0 AND NOT t.tgisinternal AND t.tgenabled <> 'O'",
);

const constraintIndexes = lines(
  `'index ' || ${quoted("ic.relname")} || ' ' || ${indexBesides} || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END`,
  "ic.relname",
  `pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
   WHERE i.indrelid = c.oid AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
     AND (${indexBesides} <> '' OR NOT i.indisvalid)`,
);

/** A sequence by its pg_class row and the oid of it. */
const sequenceFacts = (row: string): string => `(SELECT pg_catalog.concat_ws(' ',
    pg_catalog.format_type(q.seqtypid, NULL), 'start', q.seqstart, 'by', q.seqincrement, 'from', q.seqmin, 'to', q.seqmax,
    'cache', q.seqcache, CASE WHEN q.seqcycle THEN 'cycle' END, CASE WHEN ${row}.relpersistence = 'u' THEN 'unlogged' END)
  FROM pg_catalog.pg_sequence q WHERE q.seqrelid = ${row}.oid)`;

/** Sequences of serial and identity columns, which are not listed on their own. */
const ownedSequences = lines(
  `pg_catalog.concat_ws(' ', 'sequence', ${quoted("s.relname")}, ${sequenceFacts("s")}, 'rights ' || ${rights("s.relacl")})`,
  "s.relname",
  `pg_catalog.pg_class s JOIN pg_catalog.pg_depend d ON d.objid = s.oid AND d.classid = 'pg_catalog.pg_class'::regclass
   WHERE s.relkind = 'S' AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid AND d.deptype IN ('a', 'i')`,
);

const family = lines(
  "f.line",
  "f.line",
  `(SELECT pg_catalog.concat_ws(' ', 'inherits from', ${named("h.inhparent")}, pg_catalog.pg_get_expr(c.relpartbound, c.oid),
      CASE WHEN h.inhdetachpending THEN 'detach pending' END) AS line FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid
    UNION ALL SELECT 'child ' || ${named("h.inhrelid")} FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid) f`,
);

/** Lists of tables only: a publication of all tables, or of a schema, is the database's matter, and the assessment's. */
const publications = lines(
  `pg_catalog.concat_ws(' ', 'published by', ${quoted("p.pubname")},
      'columns ' || (SELECT pg_catalog.string_agg(${quoted("a.attname")}, ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs::smallint[])), 'where ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid))`,
  "p.pubname",
  "pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = c.oid",
);

const statistics = lines(
  `pg_catalog.concat_ws(' ', pg_catalog.pg_get_statisticsobjdef(x.oid), 'target ' || nullif(x.stxstattarget, -1), 'owner ' || pg_catalog.pg_get_userbyid(x.stxowner))`,
  "x.stxname, x.oid",
  "pg_catalog.pg_statistic_ext x WHERE x.stxrelid = c.oid",
);

const replicaIdentity = `CASE c.relreplident WHEN 'f' THEN 'replica identity full' WHEN 'n' THEN 'replica identity nothing'
  WHEN 'i' THEN 'replica identity by an index' END`;

const rowType = `(SELECT 'rights of its type ' || ${rights("y.typacl")} FROM pg_catalog.pg_type y WHERE y.oid = c.reltype)`;

const ofType = "'of type ' || nullif(c.reloftype, 0)::regtype::text";

/** The roles of the API that users have. Rows of theirs are kept apart by row security alone. */
const users = "r.rolname = ANY ('{anon,authenticated}')";

/**
 * Users whom row security does not stop: by their role, by one that they may become, or as the table's owner. Roles are of
 * the whole server, but every policy relies on it.
 */
const passers = `(SELECT 'row security is passed by ' || pg_catalog.string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_catalog.pg_roles r
  WHERE c.relrowsecurity AND ${users} AND (
    r.oid = ANY (ARRAY(SELECT r.oid FROM pg_catalog.pg_roles r, pg_catalog.pg_roles m
      WHERE ${users} AND (m.rolsuper OR m.rolbypassrls) AND pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')))
    OR NOT c.relforcerowsecurity AND pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')))`;

/** SQL: the views (w.ev_class) that a rule of theirs hangs on a relation. @param oid SQL for its oid */
export const viewsOver = (oid: string): string => `
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid AND w.ev_class <> ${oid}
  WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ${oid}`;

/** Views, of whatever schema, that show users a table's rows with the rights of the view's owner. */
const openViews = lines(
  "'shown to ' || v.users || ' by view ' || v.name",
  "v.name",
  `(WITH RECURSIVE above (oid) AS (SELECT w.ev_class ${viewsOver("c.oid")}
      UNION SELECT w.ev_class FROM above a, LATERAL (SELECT w.ev_class ${viewsOver("a.oid")}) w)
    SELECT ${named("a.oid")} AS name, (SELECT pg_catalog.string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_catalog.pg_roles r
      WHERE ${users} AND (pg_catalog.has_any_column_privilege(r.oid, a.oid, 'SELECT, INSERT, UPDATE')
        OR pg_catalog.has_table_privilege(r.oid, a.oid, 'DELETE'))) AS users
    FROM above a JOIN pg_catalog.pg_class v ON v.oid = a.oid AND v.relkind IN ('v', 'm')
    WHERE NOT coalesce((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(v.reloptions) o
      WHERE o.option_name = 'security_invoker'), false)) v WHERE v.users IS NOT NULL`,
);

const tableFacts = (version: number): string => `pg_catalog.concat_ws(E'\\n',
    'owner ' || pg_catalog.pg_get_userbyid(c.relowner), 'rights ' || ${rights("c.relacl")},
    'row security ' || c.relrowsecurity || ' forced ' || c.relforcerowsecurity, 'options ' || c.reloptions::text,
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'column', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, 'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid),
        nullif(a.attidentity::text, '') || ' identity', nullif(a.attgenerated::text, '') || ' generated', ${rights("a.attacl")}), E'\\n' ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT pg_catalog.string_agg('constraint ' || k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid)
        || CASE WHEN k.convalidated THEN '' ELSE ' not valid' END, E'\\n' ORDER BY k.conname)
      FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint whole WHERE whole.oid = k.conparentid AND whole.conrelid = c.oid)),
    ${since(2, version, "'partition by ' || pg_catalog.pg_get_partkeydef(c.oid)")},
    ${[
      storage,
      replicaIdentity,
      ofType,
      rowType,
      columnsBesides,
      brokenNames,
      oddNotNull,
      silentConstraints,
      silentCopies,
    ]
      .map((facts) => since(2, version, facts))
      .join(",\n    ")},
    ${[constraintIndexes, ownedSequences, family, rules, publications, statistics]
      .map((facts) => since(2, version, facts))
      .join(",\n    ")},
    ${[passers, openViews].map((facts) => since(3, version, facts)).join(",\n    ")})`;

/** Columns of a view: rights on them, and what an INSERT through the view takes where nothing is given. */
const viewColumns = lines(
  `pg_catalog.concat_ws(' ', 'column', ${quoted("a.attname")}, 'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'rights ' || ${rights("a.attacl")})`,
  "a.attnum",
  `pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (d.adbin IS NOT NULL OR a.attacl IS NOT NULL)`,
);

const viewFacts = (
  version: number,
): string => `pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(c.relowner),
    'rights ' || ${rights("c.relacl")}, 'options ' || c.reloptions::text, pg_catalog.pg_get_viewdef(c.oid),
    ${since(2, version, "CASE c.relkind WHEN 'm' THEN 'materialized' END")},
    ${since(2, version, "CASE WHEN NOT c.relispopulated THEN 'not populated' END")},
    ${[storage, rowType, viewColumns, rules, statistics, goesWith("pg_class", "c.oid")]
      .map((facts) => since(2, version, facts))
      .join(",\n    ")})`;

const sequenceLines = (
  version: number,
): string => `pg_catalog.concat_ws(E'\\n', 'owner ' || pg_catalog.pg_get_userbyid(c.relowner),
    'rights ' || ${rights("c.relacl")}, ${since(2, version, sequenceFacts("c"))})`;

/** SQL: tables, views and sequences. `c` is the query of `relations`. */
export const relationFacts = (version: number): string[] => [
  `SELECT 'table ' || c.full_name AS object, ${unlessOfExtension(version, "pg_class", "c.oid", tableFacts(version))} AS definition, NULL AS hangs_on
   FROM c WHERE c.relkind IN ('r', 'p')`,
  `SELECT 'view ' || c.full_name, ${unlessOfExtension(version, "pg_class", "c.oid", viewFacts(version))}, NULL
   FROM c WHERE c.relkind IN ('v', 'm')`,
  `SELECT 'sequence ' || c.full_name, ${unlessOfExtension(version, "pg_class", "c.oid", sequenceLines(version))}, NULL
   FROM c WHERE c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
     AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i'))`,
];
