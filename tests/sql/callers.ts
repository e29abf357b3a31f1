import { escapeIdentifier, type Client } from "pg";
import { isPostgres } from "../../engine/base/errors";
import { addPeople, people, seed, specimen } from "../../scripts/docs/specimens";
import { listed } from "./every_module";

/** Who calls, and another patient. All ids of a person's rows, of whatever table, are the person's own. */
export const [me, another] = [people.other, people.owner];
/** An id that is nowhere. */
export const nobody = "d0000000-0000-4000-8000-00000000000d";

/** Characters of which a protocol may make the end of a line, or a terminal a command. */
export const controls = ["\r\n", "\n", "\r", "\t", "\u0001", "\u001b", "\u007f", "\u0085", "\u2028", "\u2029"];

/** Puts a row of each of two patients into every table, without its CHECKs: what functions refuse they refuse themselves. */
export async function twoPatients(admin: Client): Promise<void> {
  await addPeople(admin, [me, another]);
  for (const [i, id] of [another, me].entries()) await seed(admin, listed("table"), () => id, i + 1);
  await admin.query(`BEGIN; SET LOCAL session_replication_role = replica;
    UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100;
    UPDATE public.collaboration_sessions SET status = 'active', last_activity = now();
    UPDATE public.collaborative_note_versions SET version_number = 1;
    UPDATE public.collaboration_participants SET state = 'joined', role = 'owner', admitted_by = 'patient', last_seen_at = now();
    COMMIT`);
}

/** An argument of a function. */
interface Argument {
  name: string;
  /** As format_type gives it. */
  type: string;
}

export interface Routine {
  /** As module.yaml lists it. */
  name: string;
  args: Argument[];
}

/** The functions of the modules that a role may call, with their arguments. */
export async function callable(admin: Client, role: string): Promise<Routine[]> {
  const { rows } = await admin.query<Routine>(
    `SELECT f.name, (SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.proargnames[a.i], 'type', format_type(a.t, NULL)) ORDER BY a.i), '[]')
       FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, i)) AS args
     FROM unnest($1::text[]) AS f (name) JOIN pg_proc AS p ON p.oid = f.name::regprocedure
     WHERE has_function_privilege($2, p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype ORDER BY 1`,
    [listed("function"), role],
  );
  return rows;
}

/** What an argument is by default, where one of its type would be refused at once; by its name, or the function's and its. */
const usual: Record<string, string> = {
  p_action: "'read'",
  p_audience: "'all'",
  p_auth_type: "'none'",
  p_authorization_url: "'https://example.org'",
  p_base_url: "'https://example.org'",
  p_campaign: "'x'",
  p_category: "'administrative'",
  p_channel_identifier: "'a@example.org'",
  p_channel_type: "'email'",
  p_channels: "'{in_app}'::text[]",
  p_client_secret: "NULL",
  p_consent_type: "'data_sharing'",
  p_content_format: "'markdown'",
  p_delivered: "'{email}'::text[]",
  p_expected_version: "1",
  p_lane: "NULL",
  p_lease: "interval '1 minute'",
  p_note_type: "'progress_note'",
  p_priority: "'normal'",
  p_purpose: "'healthcare_services'",
  p_quality_score: "1",
  p_resource: `'{"resourceType": "Patient", "id": "a"}'::jsonb`,
  p_resource_type: "NULL::text",
  p_role: "'viewer'",
  p_scheduled_end: "NULL::timestamptz",
  p_session_type: "'care_team_meeting'",
  p_settings: "'{}'::jsonb",
  p_stages: `'[{"stage": "a", "processor_type": "ocr_extraction"}]'::jsonb`,
  p_strategy: "'overwrite'",
  p_table: "'public.documents'",
  p_token_url: "'https://example.org'",
  p_type: "'care_team_message'",
  p_valid_until: "now() + interval '1 day'",
  "end_collaboration_session.p_status": "'completed'",
  "enqueue_document.p_priority": "5",
  "set_note_status.p_status": "'draft'",
  "validate_fhir_resource.p_resource_type": "'Patient'",
};

/** The call of a function, with some arguments as SQL and the others as usual. */
export function callOf({ name, args }: Routine, given: Record<number, string> = {}): string {
  const own = name.replace(/^public\.|\(.*$/g, "");
  const list = args.map(
    (arg, i) => given[i] ?? usual[`${own}.${arg.name}`] ?? usual[arg.name] ?? specimen(arg.type, me, 2),
  );
  return `SELECT * FROM public.${escapeIdentifier(own)}(${list.join(", ")})`;
}

/** What came of a statement: rows as JSON, or all that an error says; and of what it left behind. */
export interface Answer {
  rows?: unknown[];
  /** SQLSTATE */
  code?: string;
  error?: string;
  after?: string[];
}

/**
 * Runs a statement as a role, with my token, in a transaction that is rolled back.
 * @param look a query that the superuser asks if it went well: its column "line"
 */
export async function tryAs(admin: Client, role: string, text: string, look?: string): Promise<Answer> {
  await admin.query("BEGIN; SET LOCAL statement_timeout = '20s'");
  try {
    const claims = JSON.stringify({ role, ...(role === "authenticated" ? { sub: me } : {}) });
    await admin.query("SELECT set_config('request.jwt.claims', $1, true)", [claims]);
    await admin.query(`SET LOCAL ROLE ${escapeIdentifier(role)}`);
    const { rows } = await admin.query<Record<string, unknown>>(text);
    await admin.query("SET CONSTRAINTS ALL IMMEDIATE; RESET ROLE");
    const after = look === undefined ? [] : (await admin.query<{ line: string }>(look)).rows.map(({ line }) => line);
    return { rows, after };
  } catch (err) {
    if (!isPostgres(err)) throw err;
    const { code, message, detail, hint, where, constraint } = err as typeof err & Record<string, unknown>;
    return { code: code ?? "", error: JSON.stringify([message, detail, hint, where, constraint]) };
  } finally {
    await admin.query("ROLLBACK");
  }
}
