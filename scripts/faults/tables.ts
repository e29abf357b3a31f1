import type { Client } from "pg";
import { originalOf } from "../../engine/ledger/archived";
import { readLedger } from "../../engine/ledger/identity";
import { archiveSchema, ledgerSchema } from "../../engine/ledger/schema";

/** How rows of a table are compared where its primary key and all of its columns will not do, and why. */
interface Exception {
  why: string;
  /** Columns of which no two rows may be alike; the primary key where it is not said. */
  key?: readonly string[];
  /** Columns that differ from one run to the next. */
  aside?: readonly string[];
  /** The same inside of a jsonb column. */
  asidePath?: string;
  /** The column of the session that a row belongs to. Those of the newest one are compared as facts. */
  session?: string;
}

const exceptions: Record<string, Exception> = {
  "public.patient_consents": {
    why: "ids are drawn at random, and the evidence says when the run was",
    key: ["patient_id", "consent_type", "purpose", "granted_to", "resource_type"],
    aside: ["id", "updated_at"],
    asidePath: "{consent_evidence,recorded_at}",
  },
  "public.user_preferences": { why: "its times are the run's", aside: ["created_at", "updated_at"] },
  "public.feature_flags": { why: "its times are the run's", aside: ["created_at", "updated_at"] },
  "public.v6_row_counts": { why: "says what v6 had while it was written to", aside: ["row_count", "counted_at"] },
  "public.v6_query_times": { why: "is measured anew by each run", aside: ["p50_ms", "p95_ms", "measured_at"] },
  "public.migration_sessions": { why: "each run has one of its own, with its times", session: "id" },
  "public.migration_session_steps": { why: "each run has its own, with their times", session: "session_id" },
};

/** A table whose rows are compared, or an archived one that holds such rows. */
export interface Compared {
  /** As SQL writes it. */
  name: string;
  /** The table that the rows are of; where they are not archived, the same. */
  of: string;
  /** Columns of the key; none: the whole row. */
  key: readonly string[];
  aside: readonly string[];
  asidePath: string;
  session: string | undefined;
  archived: boolean;
}

/** Every table but the ledger's: one that is new is not forgotten. */
export async function comparedTables(client: Client): Promise<Compared[]> {
  const original = (await readLedger(client)) ? originalOf("n.nspname || '.' || c.relname") : "NULL";
  const { rows } = await client.query<{ name: string; plain: string; of: string | null; key: string[] }>(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, n.nspname || '.' || c.relname AS plain,
       CASE WHEN n.nspname = '${archiveSchema}' THEN ${original} END AS of,
       coalesce((SELECT pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum)
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
         WHERE i.indrelid = c.oid AND i.indisprimary), '{}') AS key
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '${ledgerSchema}')
     ORDER BY 2`,
  );
  return rows.map(({ name, plain, of, key }) => {
    const { key: natural = key, aside = [], asidePath = "{}", session } = exceptions[of ?? plain] ?? {};
    return { name, of: of ?? plain, key: natural, aside, asidePath, session, archived: (of ?? plain) !== plain };
  });
}
