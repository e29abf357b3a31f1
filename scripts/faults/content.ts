import type { Client } from "pg";
import { textSettings } from "../../engine/fingerprint/content";

/** A table that the migration fills. */
interface Filled {
  table: string;
  /** Columns of which no two rows may be alike. */
  key: string[];
  /** What depends on the time of the run or on chance: created ids, time stamps. */
  aside: string[];
  /** The same inside of a jsonb column. */
  asidePath?: string;
}

const filled: Filled[] = [
  {
    table: "public.patient_consents",
    key: ["patient_id", "consent_type", "purpose", "granted_to", "resource_type"],
    aside: ["id", "updated_at"],
    asidePath: "{consent_evidence,recorded_at}",
  },
  { table: "public.user_preferences", key: ["user_id"], aside: ["created_at", "updated_at"] },
  { table: "public.feature_flags", key: ["feature_name"], aside: ["created_at", "updated_at"] },
];

/** The tables whose rows are compared. */
export const filledTables: readonly string[] = filled.map(({ table }) => table);

/** Digests of a row: no value of it is kept. */
export interface Row {
  key: string;
  /** Of what two runs have in common. */
  content: string;
  /** Of all columns: a row that a user wrote must come through every run as it is. */
  whole: string;
}

/** What is in a database where the migration is: table → rows, and what else two runs must have in common. */
export interface Content {
  rows: Map<string, Row[]>;
  facts: string[];
}

/** Reads it in one snapshot. */
export async function readContent(client: Client): Promise<Content> {
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; ${textSettings}`);
  try {
    const rows = new Map<string, Row[]>();
    for (const one of filled) rows.set(one.table, await readRows(client, one));
    const { rows: facts } = await client.query<{ fact: string }>(factsOf);
    return { rows, facts: facts.map(({ fact }) => fact) };
  } finally {
    await client.query("ROLLBACK");
  }
}

async function readRows(client: Client, { table, key, aside, asidePath }: Filled): Promise<Row[]> {
  const { rows } = await client.query<Row>(
    `SELECT md5(ROW(${key.map((column) => `t.${column}`).join(", ")})::text) AS key,
       md5(((j.row - $1::text[]) #- $2::text[])::text) AS content, md5(j.row::text) AS whole
     FROM ${table} t, LATERAL (SELECT to_jsonb(t) AS row) j`,
    [aside, asidePath ?? "{}"],
  );
  return rows;
}

/**
 * Names of all that v7 consists of, how the newest session stands, and what the ledger calls unfinished: the last one is
 * empty after a run that ended.
 */
const factsOf = `
  WITH here AS (SELECT oid, nspname FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'guardian_migration', 'guardian_archive'))
  SELECT pg_catalog.format('relation %I.%I', h.nspname, c.relname)
      || CASE WHEN i.indisvalid IS FALSE THEN ' invalid' ELSE '' END AS fact
    FROM pg_catalog.pg_class c JOIN here h ON h.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  UNION ALL SELECT pg_catalog.format('function %I.%I(%s)', h.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes))
    FROM pg_catalog.pg_proc p JOIN here h ON h.oid = p.pronamespace
  UNION ALL SELECT pg_catalog.format('trigger %I on %I.%I %s', t.tgname, h.nspname, c.relname, t.tgenabled)
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN here h ON h.oid = c.relnamespace
    WHERE NOT t.tgisinternal
  UNION ALL SELECT pg_catalog.format('policy %I on %I.%I', p.polname, h.nspname, c.relname)
    FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN here h ON h.oid = c.relnamespace
  UNION ALL SELECT pg_catalog.format('constraint %I on %I.%I', k.conname, h.nspname, c.relname)
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN here h ON h.oid = c.relnamespace
  UNION ALL (SELECT pg_catalog.format('session %s, %s of %s steps', status, completed_steps, total_steps)
    FROM public.migration_sessions ORDER BY created_at DESC LIMIT 1)
  UNION ALL SELECT pg_catalog.format('unfinished: %s %s', pg_catalog.regexp_replace(s.urn, '^.*::', ''), s.part) FROM (
      SELECT DISTINCT ON (urn, part) urn, part, state FROM guardian_migration.step ORDER BY urn, part, attempt DESC) s
    WHERE s.state NOT IN ('done', 'undone')
  ORDER BY 1`;
