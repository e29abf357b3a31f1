import { GuardianError } from "../base/errors";
import { rows, type Queryable } from "../base/sql";
import { objectKinds } from "./files/manifest-shape";
import type { Statement } from "./files/statements";

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

/** Everything there is, each under a key of its own: class and oid; a relation once more with how many columns it ever had. */
const there = [
  ...catalogues.map(
    (name) =>
      `SELECT 'pg_catalog.${name}'::regclass::oid AS class, oid, 0 AS columns, xmin AS born FROM pg_catalog.${name} WHERE oid >= ${firstOid}`,
  ),
  // Its address names the catalogue that has the pages; its oid may be anybody's choice.
  `SELECT 'pg_catalog.pg_largeobject'::regclass::oid, oid, 0, xmin FROM pg_catalog.pg_largeobject_metadata`,
  `SELECT 'pg_catalog.pg_attribute'::regclass::oid, oid, relnatts, xmin FROM pg_catalog.pg_class WHERE oid >= ${firstOid} AND relkind IN ('r', 'p', 'f')`,
].join("\nUNION ALL ");

const key = "class || '.' || oid || '.' || columns";

/** What there was before a module's first statement. */
export type Before = readonly string[];

/** @returns what is there now, for `refuseUnlisted` */
export async function whatIsThere(db: Queryable): Promise<Before> {
  const found = await rows<{ key: string }>(db, `SELECT ${key} AS key FROM (${there}) t`);
  return found.map((row) => row.key);
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
  if (kind === "CommentStmt" || kind === "GrantStmt") return [];
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
 * diff, no drift and no rollback. What others make meanwhile is not looked at.
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
  const found = (await rows<{ object: string }>(db, madeSql, [before])).map((row) => row.object);
  const made = [...found, ...soon];
  const unlisted = made.filter((object) => !module.objects.includes(object));
  const missing = module.objects.filter((object) => !made.includes(object) && !later.includes(object));
  if (unlisted.length === 0 && missing.length === 0) return;
  const strange = unlisted.filter((object) => !objectKinds.some((kind) => object.startsWith(`${kind} `)));
  const parts = [
    ...(unlisted.length > 0 ? [`made and not listed: ${unlisted.join(", ")}`] : []),
    ...(missing.length > 0 ? [`listed and not made: ${missing.join(", ")}`] : []),
  ];
  throw new GuardianError("manifest-differs", {
    what:
      unlisted.length === 0
        ? "module.yaml lists objects that the module did not make"
        : "the module made objects that module.yaml does not list: no diff would show them, no drift and no rollback know them",
    where: `sql/${module.name}/module.yaml: ${parts.join("; ")}`,
    todo: [
      "make the list and the file agree",
      ...(missing.length > 0 ? ["what was there before the module ran is not its own: leave it out of the list"] : []),
      ...(strange.length > 0 ? [`take out what no list can hold: a module makes ${objectKinds.join(", ")}`] : []),
    ],
  });
}

/**
 * What this transaction made: rows of the catalogue that were not there before ($1) and that a transaction wrote which is
 * still under way and yet seen, so that it is this one, its subtransactions included. Only a transaction that is not older
 * than this one is asked about: nothing is known of very old ones. What belongs to something else (row types, constraints'
 * indexes, identity columns' sequences, members of extensions; pg_depend.deptype i, e, and a of a serial's sequence) is
 * not listed on its own, nor what is a part of a new table.
 */
const madeSql = `
WITH there AS MATERIALIZED (
  SELECT * FROM (${there}) t WHERE ${key} <> ALL ($1::text[])
), new AS MATERIALIZED (
  SELECT class, oid FROM there WHERE CASE WHEN pg_catalog.age(born) <= 0 THEN pg_catalog.pg_xact_status(
    (pg_catalog.pg_current_xact_id()::text::bigint - pg_catalog.age(born))::text::xid8) = 'in progress' ELSE false END
), own AS (
  SELECT n.class, n.oid FROM new n WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.classid = n.class AND d.objid = n.oid AND d.objsubid = 0
      AND (d.deptype IN ('i', 'e', 'P') OR d.deptype = 'a' AND d.refobjsubid > 0
        AND n.class = 'pg_catalog.pg_class'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_class s WHERE s.oid = n.oid AND s.relkind = 'S')))
)
SELECT CASE
    WHEN c.relkind IN ('r', 'p') THEN 'table ' || cn.nspname || '.' || c.relname
    WHEN c.relkind IN ('v', 'm') THEN 'view ' || cn.nspname || '.' || c.relname
    WHEN c.relkind = 'S' THEN 'sequence ' || cn.nspname || '.' || c.relname
    WHEN c.relkind IN ('i', 'I') THEN 'index ' || cn.nspname || '.' || c.relname
    WHEN y.typtype IN ('e', 'd', 'r', 'c') THEN 'type ' || yn.nspname || '.' || y.typname
    WHEN p.oid IS NOT NULL THEN 'function ' || pn.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
    WHEN t.oid IS NOT NULL THEN 'trigger ' || t.tgname || ' on ' || tn.nspname || '.' || tc.relname
    WHEN l.oid IS NOT NULL THEN 'policy ' || l.polname || ' on ' || ln.nspname || '.' || lc.relname
    WHEN o.class = 'pg_catalog.pg_attribute'::regclass THEN 'columns of ' || an.nspname || '.' || ac.relname
    ELSE (SELECT i.type || ' ' || i.identity FROM pg_catalog.pg_identify_object(o.class, o.oid, 0) i) END AS object
FROM own o
LEFT JOIN pg_catalog.pg_class c ON o.class = 'pg_catalog.pg_class'::regclass AND c.oid = o.oid
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_type y ON o.class = 'pg_catalog.pg_type'::regclass AND y.oid = o.oid
LEFT JOIN pg_catalog.pg_namespace yn ON yn.oid = y.typnamespace
LEFT JOIN pg_catalog.pg_proc p ON o.class = 'pg_catalog.pg_proc'::regclass AND p.oid = o.oid
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_trigger t ON o.class = 'pg_catalog.pg_trigger'::regclass AND t.oid = o.oid
LEFT JOIN pg_catalog.pg_class tc ON tc.oid = t.tgrelid LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
LEFT JOIN pg_catalog.pg_policy l ON o.class = 'pg_catalog.pg_policy'::regclass AND l.oid = o.oid
LEFT JOIN pg_catalog.pg_class lc ON lc.oid = l.polrelid LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = lc.relnamespace
LEFT JOIN pg_catalog.pg_class ac ON o.class = 'pg_catalog.pg_attribute'::regclass AND ac.oid = o.oid
LEFT JOIN pg_catalog.pg_namespace an ON an.oid = ac.relnamespace
LEFT JOIN pg_catalog.pg_constraint k ON o.class = 'pg_catalog.pg_constraint'::regclass AND k.oid = o.oid
LEFT JOIN pg_catalog.pg_attrdef f ON o.class = 'pg_catalog.pg_attrdef'::regclass AND f.oid = o.oid
WHERE coalesce(c.relkind, 'r') NOT IN ('c', 't')
  AND coalesce(cn.nspname, yn.nspname, pn.nspname, tn.nspname, ln.nspname, '') !~ '^pg_(toast|temp)'
  -- A part of a new table or type.
  AND NOT EXISTS (SELECT FROM new w WHERE w.class = 'pg_catalog.pg_class'::regclass AND w.oid IN (k.conrelid, f.adrelid, ac.oid)
    OR w.class = 'pg_catalog.pg_type'::regclass AND w.oid = k.contypid)
  AND NOT (c.relkind IN ('i', 'I') AND EXISTS (SELECT FROM pg_catalog.pg_constraint x WHERE x.conindid = c.oid AND x.contype IN ('p', 'u', 'x')))
ORDER BY 1`;
