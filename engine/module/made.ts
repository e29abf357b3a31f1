import { GuardianError } from "../base/errors";
import { rows, type Queryable } from "../base/sql";
import { grantsOwn } from "./files/grants";
import { objectKinds } from "./files/manifest-shape";
import type { Statement } from "./files/statements";
import { rolesAndDatabases, wasThere } from "./roles";

/** Catalogues of what a statement may make in a database, but for what is told apart below (PostgreSQL manual, chapter 53). */
const catalogues = [
  "pg_am",
  "pg_attrdef",
  "pg_cast",
  "pg_class",
  "pg_collation",
  "pg_constraint",
  "pg_conversion",
  "pg_default_acl",
  "pg_event_trigger",
  "pg_extension",
  "pg_foreign_data_wrapper",
  "pg_foreign_server",
  "pg_language",
  "pg_namespace",
  "pg_opclass",
  "pg_operator",
  "pg_opfamily",
  "pg_policy",
  "pg_proc",
  "pg_publication",
  "pg_publication_namespace",
  "pg_publication_rel",
  "pg_rewrite",
  "pg_statistic_ext",
  "pg_transform",
  "pg_trigger",
  "pg_ts_config",
  "pg_ts_dict",
  "pg_ts_parser",
  "pg_ts_template",
  "pg_type",
];

/** The lowest oid that is not the system's own (transam.h, FirstNormalObjectId). */
const firstOid = 16384;

/**
 * What an object is like that v6 or another module has: one that a module replaces, opens or renames would stay so after a
 * rollback. Not told is what a key, trigger or index of the module changes beside itself (relhastriggers and the like).
 */
const definitions: readonly (readonly [catalogue: string, oid: string, columns: string, which?: string])[] = [
  [
    "pg_proc",
    "oid",
    "proname, pronamespace, proowner, proacl, prolang, prosrc, probin, prosqlbody, proconfig, prosecdef, provolatile, proisstrict, proleakproof, proparallel, procost, prorows, proargdefaults",
  ],
  [
    "pg_class",
    "oid",
    // A file of its own is what TRUNCATE gives a table, ALTER SEQUENCE … RESTART a sequence, and whatever writes one anew.
    "relname, relnamespace, relowner, relacl, relrowsecurity, relforcerowsecurity, reloptions, relreplident, relpersistence, relispartition, relfilenode",
    "relkind <> 't'",
  ],
  [
    "pg_attribute",
    "attrelid",
    "attnum, attname, atttypid, atttypmod, attnotnull, attacl, attidentity, attisdropped, atthasdef, attgenerated, attinhcount, attislocal, attstattarget, attstorage, attcompression, attoptions",
    "attnum > 0",
  ],
  ["pg_policy", "oid", "polname, polcmd, polpermissive, polroles, polqual, polwithcheck"],
  ["pg_index", "indexrelid", "indisclustered, indisreplident"],
  ["pg_trigger", "oid", "tgname, tgenabled, tgfoid, tgtype, tgargs, tgqual"],
  ["pg_rewrite", "oid", "rulename, ev_enabled, ev_action"],
  ["pg_constraint", "oid", "conname, convalidated, condeferrable, condeferred"],
  ["pg_type", "oid", "typname, typnamespace, typowner, typacl, typnotnull, typdefault"],
  ["pg_enum", "enumtypid", "enumlabel, enumsortorder"],
  ["pg_sequence", "seqrelid", "seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle"],
  ["pg_namespace", "oid", "nspname, nspowner, nspacl"],
  ["pg_default_acl", "oid", "defaclacl"],
  [
    "pg_publication",
    "oid",
    "pubname, pubowner, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot",
  ],
  ["pg_event_trigger", "oid", "evtname, evtowner, evtenabled, evtfoid, evttags"],
  ["pg_extension", "oid", "extversion, extnamespace, extowner"],
  ["pg_foreign_server", "oid", "srvname, srvowner, srvversion, srvoptions, srvacl"],
  ["pg_statistic_ext", "oid", "stxname, stxowner, stxstattarget"],
];

/** What is told of a part is told of the whole. */
const wholes: Readonly<Record<string, string>> = {
  pg_attribute: "pg_class",
  pg_index: "pg_class",
  pg_sequence: "pg_class",
  pg_enum: "pg_type",
};

/** SQL: what an object is like, as a row under the class and oid of that object. */
const definitionOf = ([catalogue, oid, columns, which]: (typeof definitions)[number], born: string): string =>
  `SELECT 'pg_catalog.${wholes[catalogue] ?? catalogue}'::regclass::oid, ${oid}, pg_catalog.hashtext(ROW(${columns})::text), true, xmin
   FROM pg_catalog.${catalogue} WHERE ${catalogue === "pg_namespace" ? "true" : `${oid} >= ${firstOid}`} AND ${which ?? "true"} AND ${born}`;

/** SQL: rows of the catalogues as class and oid. @param which SQL on `xmin` */
const objectsOf = (which: string): string =>
  [
    ...catalogues.map(
      (name) =>
        `SELECT 'pg_catalog.${name}'::regclass::oid AS class, oid, 0 AS columns, false AS altered, xmin AS born FROM pg_catalog.${name} WHERE oid >= ${firstOid} AND ${which}`,
    ),
    // Its address names the catalogue that has the pages; its oid may be anybody's choice.
    `SELECT 'pg_catalog.pg_largeobject'::regclass::oid, oid, 0, false, xmin FROM pg_catalog.pg_largeobject_metadata WHERE ${which}`,
  ].join("\nUNION ALL ");

/** SQL: besides these a relation once more with how many columns it ever had, and what is `altered` with a hash of how it is. */
const alteredOf = (which: string): string =>
  [
    `SELECT 'pg_catalog.pg_attribute'::regclass::oid, oid, relnatts, false, xmin FROM pg_catalog.pg_class WHERE oid >= ${firstOid} AND relkind IN ('r', 'p', 'f') AND ${which}`,
    ...definitions.map((it) => definitionOf(it, which)),
  ].join("\nUNION ALL ");

const key = "class || '.' || oid || '.' || columns || altered";

/** What there was before a module's first statement: rows' keys, each with the object's name where it is one that may be missed. */
export type Before = ReadonlyMap<string, string | null>;

/** @returns what is there now, for `refuseUnlisted` */
export async function whatIsThere(db: Queryable): Promise<Before> {
  const found = await rows<{ key: string; name: string | null }>(
    db,
    `SELECT ${key} AS key, CASE WHEN NOT altered AND columns = 0 AND class <> 'pg_catalog.pg_attribute'::regclass
       THEN (SELECT i.type || ' ' || i.identity FROM pg_catalog.pg_identify_object(class, oid, 0) i) END AS name
     FROM (${objectsOf("true")}\nUNION ALL ${alteredOf("true")}\nUNION ALL ${rolesAndDatabases}\nUNION ALL ${wasThere}) t`,
  );
  // Others' temporary tables come and go, and with a REFRESH the table of a view's long values.
  return new Map(found.map((row) => [row.key, /\bpg_(temp|toast)/.test(row.name ?? "") ? null : row.name]));
}

/** What a statement makes by its own words; undefined if only the catalogue can tell. */
function madeBy({ tree }: Statement, tables: readonly string[]): string[] | undefined {
  const [kind, node] = Object.entries(tree)[0] ?? [];
  const { relation, table, trigname, policy_name, idxname, cmds } = (node ?? {}) as {
    [name in "relation" | "table"]?: { schemaname?: string; relname?: string };
  } & { [name in "trigname" | "policy_name" | "idxname"]?: string } & {
    cmds?: { AlterTableCmd?: { subtype?: string } }[];
  };
  const of = relation ?? table;
  const schema = of?.schemaname ?? "public";
  const on = `${schema}.${of?.relname ?? ""}`;
  if (kind === "CommentStmt") return [];
  if (kind === "GrantStmt") return grantsOwn(node ?? null, tables) ? [] : undefined;
  if (kind === "CreateTrigStmt" && trigname) return [`trigger ${trigname} on ${on}`];
  if (kind === "CreatePolicyStmt" && policy_name) return [`policy ${policy_name} on ${on}`];
  if (kind === "IndexStmt" && idxname) return [`index ${schema}.${idxname}`];
  const adds = cmds?.every(({ AlterTableCmd }) => AlterTableCmd?.subtype === "AT_AddConstraint");
  return kind === "AlterTableStmt" && adds && tables.includes(`table ${on}`) ? [] : undefined;
}

/**
 * @returns what statements will make, as far as their own words tell: they need not be looked at once more while v6 is
 *   locked. Undefined if one of them may make anything.
 */
export function willMake(statements: readonly Statement[], objects: readonly string[]): string[] | undefined {
  const made = statements.map((statement) => madeBy(statement, objects));
  return made.includes(undefined) ? undefined : made.flatMap((names) => names ?? []);
}

/**
 * Refuses a module that made something that module.yaml does not list, or lists what it did not make: it would be in no
 * diff, no drift and no rollback; and one that took away what was there. What others make meanwhile is not looked at; what
 * they drop, or change of a role or database, cannot be told from what the module does.
 * @param later objects that are made after this transaction
 * @param soon objects that this transaction is still to make
 * @throws GuardianError naming both
 */
export async function refuseUnlisted(
  db: Queryable,
  before: Before,
  module: { name: string; objects: readonly string[] },
  later: readonly string[],
  soon: readonly string[] = [],
): Promise<void> {
  const found = await rows<{ object: string | null; gone: string | null }>(db, madeSql, [[...before.keys()]]);
  const made = [...found.flatMap(({ object }) => object ?? []), ...soon];
  const gone = found.flatMap((row) => before.get(row.gone ?? "") ?? []).sort();
  const unlisted = made.filter((object) => !module.objects.includes(object));
  const missing = module.objects.filter((object) => !made.includes(object) && !later.includes(object));
  if (unlisted.length === 0 && missing.length === 0 && gone.length === 0) return;
  const strange = unlisted.filter((object) => !objectKinds.some((kind) => object.startsWith(`${kind} `)));
  const shared = strange.some((object) => /^definition of (role|database) /.test(object));
  const parts = [
    ...(unlisted.length > 0 ? [`made and not listed: ${unlisted.join(", ")}`] : []),
    ...(missing.length > 0 ? [`listed and not made: ${missing.join(", ")}`] : []),
    ...(gone.length > 0 ? [`taken away: ${gone.slice(0, 9).join(", ")}${gone.length > 9 ? ", …" : ""}`] : []),
  ];
  if (gone.length > 0)
    throw new GuardianError("manifest-differs", {
      what: "the module took away what it did not make: no rollback would put that back",
      where: `sql/${module.name}: ${parts.join("; ")}`,
      todo: ["take that out of the module", "if somebody else dropped it meanwhile, run this again"],
    });
  throw new GuardianError("manifest-differs", {
    what:
      unlisted.length === 0
        ? "module.yaml lists objects that the module did not make"
        : "the module made objects that module.yaml does not list: no diff would show them, no drift and no rollback know them",
    where: `sql/${module.name}/module.yaml: ${parts.join("; ")}`,
    todo: [
      "make the list and the file agree",
      ...(missing.length > 0 ? ["what was there before the module ran is not its own: leave it out of the list"] : []),
      ...(shared ? ["if somebody else changed that role or database meanwhile, run this again"] : []),
      ...(strange.length > 0 ? [`take out what no list can hold: a module makes ${objectKinds.join(", ")}`] : []),
    ],
  });
}

/** SQL: the name of a row of a catalogue as module.yaml writes it. @param from the catalogue, with an alias `x` for the row */
const named = (from: string, name: string, namespace: string): string =>
  `(SELECT ${name} FROM pg_catalog.${from} JOIN pg_catalog.pg_namespace n ON n.oid = ${namespace}
    WHERE x.oid = o.oid AND n.nspname !~ '^pg_(toast|temp)')`;

/**
 * What this transaction made: rows of the catalogue that were not there before ($1) and that a transaction wrote which is
 * still under way and yet seen, so that it is this one, its subtransactions included. Only a transaction that is not older
 * than this one is asked about: nothing is known of very old ones. What belongs to something else (row types, constraints'
 * indexes, identity columns' sequences, members of extensions; pg_depend.deptype i, e, and a of a serial's sequence) is
 * not listed on its own where it is new, nor what is a part of a new table. Besides the keys of what is not there any more.
 * Run while v6 is locked where the words of what runs then do not tell: hence no joins to plan.
 */
const madeSql = `
WITH there AS MATERIALIZED (${objectsOf("true")}), new AS MATERIALIZED (
  SELECT class, oid, altered FROM (
    SELECT * FROM there WHERE pg_catalog.age(born) <= 0 UNION ALL ${alteredOf("pg_catalog.age(xmin) <= 0")}
  ) t WHERE CASE WHEN ${key} = ANY ($1::text[]) THEN false ELSE pg_catalog.pg_xact_status(
    (pg_catalog.pg_current_xact_id()::text::bigint - pg_catalog.age(born))::text::xid8) = 'in progress' END
  UNION ALL SELECT class, oid, altered FROM (${rolesAndDatabases}) t
    WHERE ${key} <> ALL ($1::text[]) AND class || '.' || oid || '.1false' = ANY ($1::text[])
), own AS MATERIALIZED (
  SELECT n.class, n.oid, n.altered FROM new n WHERE n.altered OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.classid = n.class AND d.objid = n.oid AND d.objsubid = 0
      AND (d.deptype IN ('i', 'e', 'P') OR d.deptype = 'a' AND d.refobjsubid > 0
        AND n.class = 'pg_catalog.pg_class'::regclass AND (SELECT s.relkind FROM pg_catalog.pg_class s WHERE s.oid = n.oid) = 'S'))
)
SELECT DISTINCT object, NULL::text AS gone FROM (
  SELECT CASE WHEN o.altered
    THEN (SELECT 'definition of ' || i.type || ' ' || i.identity FROM pg_catalog.pg_identify_object(o.class, o.oid, 0) i)
  ELSE CASE o.class
    WHEN 'pg_catalog.pg_class'::regclass THEN ${named(
      "pg_class x",
      `CASE WHEN x.relkind IN ('r', 'p') THEN 'table ' WHEN x.relkind IN ('v', 'm') THEN 'view ' WHEN x.relkind = 'S' THEN 'sequence '
        WHEN x.relkind IN ('i', 'I') THEN CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
          WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x')) THEN 'index ' END
        WHEN x.relkind = 'f' THEN 'foreign table ' END || n.nspname || '.' || x.relname`,
      "x.relnamespace",
    )}
    WHEN 'pg_catalog.pg_type'::regclass THEN ${named("pg_type x", "'type ' || n.nspname || '.' || x.typname", "x.typnamespace")}
    WHEN 'pg_catalog.pg_proc'::regclass THEN ${named(
      "pg_proc x",
      "'function ' || n.nspname || '.' || x.proname || '(' || pg_catalog.oidvectortypes(x.proargtypes) || ')'",
      "x.pronamespace",
    )}
    WHEN 'pg_catalog.pg_trigger'::regclass THEN ${named(
      "pg_trigger x JOIN pg_catalog.pg_class c ON c.oid = x.tgrelid",
      "'trigger ' || x.tgname || ' on ' || n.nspname || '.' || c.relname",
      "c.relnamespace",
    )}
    WHEN 'pg_catalog.pg_policy'::regclass THEN ${named(
      "pg_policy x JOIN pg_catalog.pg_class c ON c.oid = x.polrelid",
      "'policy ' || x.polname || ' on ' || n.nspname || '.' || c.relname",
      "c.relnamespace",
    )}
    WHEN 'pg_catalog.pg_attribute'::regclass THEN ${named("pg_class x", "'columns of ' || n.nspname || '.' || x.relname", "x.relnamespace")}
    ELSE (SELECT i.type || ' ' || i.identity FROM pg_catalog.pg_identify_object(o.class, o.oid, 0) i) END END AS object
  FROM own o
  -- Not a part of a new table or type.
  WHERE NOT EXISTS (SELECT FROM new w WHERE NOT w.altered AND w.class = 'pg_catalog.pg_class'::regclass AND w.oid = CASE o.class
      WHEN 'pg_catalog.pg_attribute'::regclass THEN o.oid
      WHEN 'pg_catalog.pg_constraint'::regclass THEN (SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.oid = o.oid)
      WHEN 'pg_catalog.pg_attrdef'::regclass THEN (SELECT f.adrelid FROM pg_catalog.pg_attrdef f WHERE f.oid = o.oid) END)
    AND NOT (o.altered AND EXISTS (SELECT FROM new w WHERE NOT w.altered AND w.class = o.class AND w.oid = o.oid))
    AND NOT EXISTS (SELECT FROM new w WHERE w.class = 'pg_catalog.pg_type'::regclass AND w.oid = CASE o.class
      WHEN 'pg_catalog.pg_constraint'::regclass THEN (SELECT k.contypid FROM pg_catalog.pg_constraint k WHERE k.oid = o.oid) END)
) named WHERE object IS NOT NULL
UNION ALL SELECT NULL, k FROM (
  SELECT k FROM pg_catalog.unnest($1::text[]) k WHERE k LIKE '%.0false' EXCEPT SELECT ${key} FROM there t
) missing ORDER BY 1`;
