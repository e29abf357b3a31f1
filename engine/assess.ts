import { nearest } from "../spec";
import { type readTables, v6Tables } from "../spec/roles";
import { GuardianError } from "./base/errors";
import { shown, sqlName } from "./base/names";
import { rows, type Queryable } from "./base/sql";
import { apiRoles, readNeighbours } from "./neighbours/findings";
import { nothingMeant } from "./neighbours/neighbour";
import { describeReaders, readPublications } from "./neighbours/publications";
import { missingRights } from "./rights";

/** One line of the guide's assessment (guide 1.1), with what the guide did not look at. */
export interface AssessmentItem {
  item: string;
  status: string;
  readiness: "Ready" | "Not ready" | "Note" | "Warning";
  action: string;
}

/** What there is, apart from how much of it there is and who reads it: that changes while v6 is used. */
export interface Assessment {
  items: AssessmentItem[];
  volume: AssessmentItem[];
  /** Logical slots with their subscribers, in words. */
  readers: string[];
  /** What to run before `up`, which needs more rights than a preview; absent if it has them. */
  beforeUp?: string;
}

/** Tables of v6 and the columns by which they are told from anything else of the same name. */
const v6Columns: Readonly<Record<(typeof readTables)[number], readonly string[]>> = {
  "auth.users": ["id", "email", "created_at"],
  "public.documents": ["id", "user_id", "s3_key", "original_name", "status", "medical_data", "normalization_status"],
  "public.patient_medications": ["id", "user_id", "medication_name", "source_document_ids"],
  "public.patient_allergies": ["id", "user_id", "allergen", "source_document_ids"],
  "public.patient_conditions": ["id", "user_id", "condition_name", "source_document_ids"],
  "public.patient_lab_results": ["id", "user_id", "test_name", "result_value", "source_document_id"],
  "public.patient_vitals": ["id", "user_id", "measurement_date", "source_document_id"],
  "public.patient_providers": ["id", "user_id", "provider_name", "source_document_ids"],
};

/**
 * Looks at the database before anything is done to it: is it a v6, may this role do the work, what is in it. Reads the
 * catalogue, and counts accounts exactly only where that is cheap.
 * @param preview true where nothing will be written: a role that may only read is enough for that
 * @throws GuardianError if it is not a v6, a right is missing, or there is no such publication: all findings at once
 */
export async function assess(db: Queryable, meant = nothingMeant, preview = false): Promise<Assessment> {
  const missing = await missingParts(db);
  if (missing.length > 0) {
    throw new GuardianError("not-v6", {
      what: "this database is not a Guardian v6",
      where: `${await here(db)}; missing: ${missing.join("; ")}`,
      todo: "check host, port and database name: guardian:database, PGHOST, PGPORT, PGDATABASE, PGSERVICE",
    });
  }
  const missingHere = await missingRights(db);
  const rights = missingHere.filter(({ toRead }) => toRead || !preview).map(({ statement }) => statement);
  const later = missingHere.filter(({ toRead }) => !toRead && preview).map(({ statement }) => statement);
  if (rights.length > 0) {
    throw new GuardianError("right-missing", {
      what: `this role lacks ${rights.length === 1 ? "a right" : "rights"} that the migration needs`,
      where: await here(db),
      todo: [
        allOf(rights),
        "npm run grants -- --role NAME prints the whole script for a role, and why each right is needed",
      ],
    });
  }
  await refuseUnknown(db, meant.publications);
  const neighbours = await readNeighbours(db, v6Tables, meant);
  return {
    items: [...(await extensions(db)), tables(), ...(await oddities(db)), ...neighbours],
    volume: await volume(db),
    readers: await describeReaders(db),
    ...(later.length > 0 ? { beforeUp: allOf(later) } : {}),
  };
}

/** A name that is written wrong would else accept nothing, and be found out by the refusal only. */
async function refuseUnknown(db: Queryable, accepted: readonly string[]): Promise<void> {
  if (accepted.length === 0) return;
  const names = (await readPublications(db)).map(({ name }) => name);
  const unknown = accepted.filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  const near = (name: string): string =>
    names.length > 0 ? `the nearest is ${sqlName(nearest(name, names))}` : "it has none at all";
  throw new GuardianError("config-invalid", {
    what: `guardian:publications names what is no publication of this database: ${unknown.map((name) => `${shown(name)} (${near(name)})`).join(", ")}`,
    where: await here(db),
    todo: "mend the name, or take it out: guardian:publications in the stack's file",
  });
}

const allOf = (statements: readonly string[]): string =>
  `as a superuser, or whoever owns these, all of: ${statements.join(" and ")}`;

async function here(db: Queryable): Promise<string> {
  const [row] = await rows<{ here: string }>(
    db,
    "SELECT 'database ' || pg_catalog.current_database() || ' as ' || current_user AS here",
  );
  return row?.here ?? "";
}

export async function missingParts(db: Queryable): Promise<string[]> {
  const wanted = Object.entries(v6Columns).flatMap(([table, columns]) => columns.map((column) => ({ table, column })));
  const found = await rows<{ table: keyof typeof v6Columns; columns: string[] | null }>(
    db,
    // By the catalogue itself: to_regclass refuses a schema that this role may not use.
    `SELECT w.t AS table, pg_catalog.array_agg(w.c) AS columns
     FROM unnest($1::text[], $2::text[]) w(t, c)
     LEFT JOIN (pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid)
       ON n.nspname = pg_catalog.split_part(w.t, '.', 1) AND c.relname = pg_catalog.split_part(w.t, '.', 2)
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = w.c AND NOT a.attisdropped)
     GROUP BY 1 ORDER BY 1`,
    [wanted.map((want) => want.table), wanted.map((want) => want.column)],
  );
  const parts = found.map(({ table, columns }) =>
    columns?.length === v6Columns[table].length ? `table ${table}` : `column ${(columns ?? []).join(", ")} of ${table}`,
  );
  const roles = await rows<{ name: string }>(
    db,
    "SELECT w.name FROM unnest($1::text[]) w(name) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = w.name)",
    [apiRoles],
  );
  return [...parts, ...roles.map((role) => `role ${role.name}`)];
}

/** @returns a line for each extension that v6 was made with */
export async function extensions(db: Queryable): Promise<AssessmentItem[]> {
  const wanted = ["uuid-ossp"];
  const found = await rows<{ name: string; there: boolean }>(
    db,
    "SELECT w.name, EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = w.name) AS there FROM unnest($1::text[]) w(name)",
    [wanted],
  );
  return found.map(({ name, there }) => ({
    item: "Database Extensions",
    status: there ? `${name} installed` : `${name} missing`,
    readiness: there ? ("Ready" as const) : ("Not ready" as const),
    action: there ? "None" : `CREATE EXTENSION "${name}"; v6's own defaults need it`,
  }));
}

function tables(): AssessmentItem {
  return {
    item: "Core Tables",
    status: `${Object.keys(v6Columns).length} of v6 present`,
    readiness: "Ready",
    action: "None",
  };
}

/** Counting every row of a large table costs seconds; above this many the planner's estimate is told, and said to be one. */
const countUpTo = 200_000;

async function volume(db: Queryable): Promise<AssessmentItem[]> {
  const estimates = await rows<{ name: string; about: string }>(
    db,
    `SELECT t.name, greatest(c.reltuples, 0)::bigint AS about FROM unnest($1::text[]) t(name) JOIN pg_catalog.pg_class c ON c.oid = t.name::regclass`,
    [["auth.users", "public.documents"]],
  );
  const items: AssessmentItem[] = [];
  for (const { name, about } of estimates) {
    const exact = Number(about) <= countUpTo;
    const counted = exact ? (await rows<{ n: string }>(db, `SELECT count(*) AS n FROM ${name}`))[0]?.n : about;
    items.push({
      item: name === "auth.users" ? "User Data Count" : "Document Count",
      status: `${exact ? "" : "about "}${counted ?? "0"} ${name === "auth.users" ? "users" : "documents"}`,
      readiness: "Ready",
      action: "None",
    });
  }
  return items;
}

/** Facts of this v6 that the operator should know; none of them stops the migration. */
async function oddities(db: Queryable): Promise<AssessmentItem[]> {
  const [row] = await rows<{ profiles: boolean; http: boolean }>(
    db,
    `SELECT pg_catalog.to_regclass('public.user_profiles') IS NOT NULL AS profiles,
            EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'http') AS http`,
  );
  const note = (item: string, status: string): AssessmentItem => ({ item, status, readiness: "Note", action: "None" });
  return [
    note(
      "User Profiles",
      row?.profiles
        ? "user_profiles present: language and time zone come from it"
        : "no user_profiles: every account gets the defaults",
    ),
    note(
      "Document Normalization",
      row?.http
        ? "extension http installed"
        : "extension http absent: completed documents end as 'failed'; that is v6, not data loss",
    ),
  ];
}
