import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import type { Client } from "pg";
import { clientFolder } from "../../scripts/pg-clients";
import { readBounds, type Bounds } from "../../scripts/docs/bounds";
import { room } from "../../scripts/docs/bounds-page";
import { long } from "../support/long";
import { asRole, major, withEmpty, type Login, type V6 } from "../support/postgres";
import { refusal, value, withModules } from "../support/modules";
import { create, join as enter, save } from "./008_sessions";
import { archives, listed, modules } from "./every_module";

const run = promisify(execFile);
type Try = (given: unknown) => Promise<unknown>;

/** The same JSON, made longer by a key of its own or an entry until its text has so many bytes. */
function padded(json: object, bytes: number): string {
  const padding = (n: number): object => (Array.isArray(json) ? ["x".repeat(n)] : { ...json, pad: "x".repeat(n) });
  // As PostgreSQL writes it: a blank after each colon and comma.
  const size = (it: object): number =>
    JSON.stringify(it).length + (Array.isArray(it) ? it.length - 1 : Object.keys(it).length * 2 - 1);
  return JSON.stringify(padding(bytes - size(padding(0))));
}

/** An array of so many entries whose text, `{a,b}`, has so many bytes. */
const entries = (n: number, bytes: number): string[] =>
  Array.from({ length: n }, (_none, i) => (i === 0 ? "x".repeat(bytes - 2 * n) : "x"));

/** Users who have a row of each kind, and how they write each column. */
async function writers(client: Client): Promise<Record<string, Try>> {
  const people = await client.query<{ id: string }>("SELECT id FROM auth.users ORDER BY id LIMIT 2");
  const [patient, doctor] = people.rows.map(({ id }) => id) as [string, string];
  await client.query("UPDATE public.feature_flags SET enabled = true, rollout_percentage = 100");
  const as = (user: string, text: string, values: unknown[]): Promise<unknown> =>
    asRole(client, "authenticated", user, (c) => c.query(text, values));
  const grant = "SELECT public.grant_patient_consent(p_patient_id => $1, p_consent_type => $2, p_purpose => $3";
  await as(patient, `${grant}, p_granted_to => $4)`, [patient, "data_sharing", "healthcare_services", doctor]);
  await as(patient, "INSERT INTO public.user_preferences (user_id) VALUES ($1)", [patient]);
  await as(patient, "INSERT INTO public.user_consent_preferences (user_id) VALUES ($1)", [patient]);
  await as(patient, "SELECT public.add_notification_channel('email', 'ann@example.org')", []);
  const session = await create(client, doctor, patient);
  await enter(client, patient, session);
  await enter(client, doctor, session);
  const { note_id: note } = await save(client, doctor, session, "text");
  await save(client, doctor, session, "text", note, 1);
  let purposes = 0;
  const fresh = (): string => `purpose_${++purposes}`;
  const preference =
    (column: string): Try =>
    (given) =>
      as(patient, `UPDATE public.user_preferences SET ${column} = $2 WHERE user_id = $1`, [patient, given]);
  const preferences = [
    ...["theme", "font_size", "font_family", "color_blind_support", "language", "secondary_languages", "timezone"],
    ...["date_format", "time_format", "preferred_units", "medical_terminology_level", "hide_sensitive_conditions"],
    ...["dashboard_layout", "notification_channels", "notification_frequency", "quiet_hours", "default_sharing_level"],
    ...["emergency_contacts", "family_access_level", "preferred_export_format", "auto_backup_frequency"],
  ];
  const channel =
    (column: string): Try =>
    (given) =>
      as(patient, `UPDATE public.notification_delivery_channels SET ${column} = $2 WHERE user_id = $1`, [
        patient,
        given,
      ]);
  const written = (title: unknown, content: unknown, version: number | null = null): Promise<unknown> =>
    as(doctor, "SELECT public.save_collaborative_note($1, $2, $3, $4, $5)", [
      session,
      title,
      content,
      version === null ? null : note,
      version,
    ]);
  const noted = (kind: string, format: string): Promise<unknown> =>
    as(doctor, "SELECT public.save_collaborative_note($1, 't', 'c', NULL, NULL, $2, $3)", [session, kind, format]);
  const granted = (more: Record<string, unknown>): Promise<unknown> => {
    const of: Record<string, unknown> = {
      p_patient_id: patient,
      p_consent_type: "data_sharing",
      p_purpose: fresh(),
      p_granted_to: doctor,
      ...more,
    };
    const names = Object.keys(of);
    const list = names.map((name, i) => `${name} => $${i + 1}`).join(", ");
    return as(patient, `SELECT public.grant_patient_consent(${list})`, Object.values(of));
  };
  return {
    "patient_consents.consent_type": (given) => granted({ p_consent_type: given }),
    "patient_consents.resource_type": (given) => granted({ p_resource_type: given }),
    "patient_consents.purpose": (given) => granted({ p_purpose: given }),
    "patient_consents.consent_evidence": (given) => granted({ p_consent_evidence: given }),
    "patient_consents.revocation_reason": (given) =>
      as(patient, "SELECT public.refuse_patient_consent($1, 'family_access', $2, p_reason => $3)", [
        patient,
        fresh(),
        given,
      ]),
    "user_consent_preferences.notification_method": (given) =>
      as(patient, "UPDATE public.user_consent_preferences SET notification_method = $2 WHERE user_id = $1", [
        patient,
        given,
      ]),
    ...Object.fromEntries(preferences.map((column) => [`user_preferences.${column}`, preference(column)])),
    "notification_delivery_channels.channel_type": (given) =>
      as(patient, "SELECT public.add_notification_channel($1, 'somebody else')", [given]),
    "notification_delivery_channels.channel_identifier": (given) =>
      as(patient, "SELECT public.add_notification_channel('push', $1)", [given]),
    "notification_delivery_channels.notification_types_enabled": channel("notification_types_enabled"),
    "notification_delivery_channels.priority_threshold": channel("priority_threshold"),
    "collaboration_sessions.session_name": (given) =>
      as(doctor, "SELECT public.create_collaboration_session($1, $2, 'care_team_meeting')", [patient, given]),
    "collaboration_sessions.session_type": (given) =>
      as(doctor, "SELECT public.create_collaboration_session($1, 'Round', $2)", [patient, given]),
    "collaboration_participants.role": (given) =>
      as(patient, "SELECT public.invite_to_collaboration($1, $2, $3)", [session, doctor, given]),
    "collaborative_clinical_notes.note_type": (given) => noted(String(given), "markdown"),
    "collaborative_clinical_notes.content_format": (given) => noted("progress_note", String(given)),
    "collaborative_clinical_notes.title": (given) => written(given, "c"),
    "collaborative_clinical_notes.content": (given) => written("t", given),
    "collaborative_clinical_notes.editorial_status": (given) =>
      as(doctor, "SELECT public.set_note_status($1, $2, 2)", [note, given]),
    "collaborative_note_versions.title": (given) => written(given, "c"),
    "collaborative_note_versions.content": (given) => written("t", given),
    "collaboration_conflicts.attempted_title": (given) => written(given, "c", 1),
    "collaboration_conflicts.attempted_content": (given) => written("t", given, 1),
  };
}

/** Columns that take no word of the user's: their functions write their own. */
const fixed = [
  "patient_consents.consent_metadata",
  "patient_consents.legal_basis",
  "notification_delivery_channels.verification_hash",
  "collaboration_participants.admitted_by",
  "collaboration_participants.state",
  "collaboration_sessions.status",
  "collaboration_conflicts.conflict_type",
  "collaboration_conflicts.status",
  "collaboration_conflicts.resolution_strategy",
];

/** What a versions's and a note's bound differ by: the note's is in characters, and refuses first. */
const refusedBefore = ["collaborative_note_versions.title", "collaborative_note_versions.content"];

/** Values that the column takes or not, by their size. */
function sized(column: string, bound: Bounds["users"][number], over: number): unknown {
  const { bytes, characters, entries: count } = bound;
  const shape: Record<string, object> = {
    "user_preferences.quiet_hours": { enabled: true, start: "22:00", end: "06:00" },
    "user_preferences.emergency_contacts": [],
  };
  if (column === "user_preferences.secondary_languages")
    return [["en-abcdefg", "en-abcdefgh", "eng-abcdefgh"][over + 1], ...Array.from({ length: 43 }, () => "abcdefgh")];
  if (count !== undefined && bytes !== undefined && !column.endsWith("contacts")) return entries(count, bytes + over);
  if (bytes !== undefined && /reason$|title$|content$/.test(column)) return "x".repeat(bytes + over);
  if (bytes !== undefined) return padded(shape[column] ?? {}, bytes + over);
  return "x".repeat((characters ?? 0) + over);
}

async function withBounds(test: (client: Client, bounds: Bounds, db: V6) => Promise<void>): Promise<void> {
  await withModules(modules, async (client, db) => {
    await test(client, await readBounds(await db.connect("admin"), listed("table")), db);
  });
}

/** A hash of every archived table's rows, whatever their order. */
async function content(client: Client): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { table } of archives())
    found[table] = await value(
      client,
      `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM ${table} t`,
    );
  return found;
}

const env = ({ host, port, user, password, database }: Login): NodeJS.ProcessEnv => ({
  ...process.env,
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGDATABASE: database,
});

describe("how much may be written", function () {
  this.timeout(120_000);

  long(
    "16-9: every column that a user can write is tried at its bound and above it, and what was taken survives dump and restore",
    () =>
      withBounds(async (client, bounds, db) => {
        const write = await writers(client);
        const names = bounds.users.map(({ table, column }) => `${table.replace("public.", "")}.${column}`);
        expect(
          [...Object.keys(write), ...fixed].sort(),
          "a column without a case, or a case without a column",
        ).to.deep.equal(names.sort());
        for (const bound of bounds.users) {
          const name = `${bound.table.replace("public.", "")}.${bound.column}`;
          const attempt = write[name];
          if (!attempt) continue;
          const limited = (bound.bytes ?? bound.characters ?? bound.entries) !== undefined;
          if (limited && bound.column !== "language" && !refusedBefore.includes(name)) {
            for (const over of [-1, 0])
              await attempt(sized(name, bound, over)).catch((err: unknown) => {
                throw new Error(`${name} is refused at ${over} of its bound`, { cause: err });
              });
            expect((await refusal(attempt(sized(name, bound, 1)))).code, `${name} above its bound`).to.equal("23514");
          }
          // Whatever bounds it, a list or a pattern: no text of a megabyte, no hundred thousand entries.
          const much = /\[\]$/.test(bound.type)
            ? entries(100_000, 1_000_000)
            : bound.type === "jsonb"
              ? padded({}, 1_000_000)
              : "x".repeat(1_000_000);
          expect((await refusal(attempt(much))).code, `${name}, a megabyte`).to.match(/^(23514|22023)$/);
        }
        // Half of them by one byte, and counted: of a hundred thousand empty entries each is small.
        const types = write["notification_delivery_channels.notification_types_enabled"]!;
        expect((await refusal(types(Array.from({ length: 101 }, () => "")))).code).to.equal("23514");

        const before = await content(client);
        expect(Object.values(before).filter((hash) => !hash.startsWith("0 ")).length).to.be.above(8);
        const folder = mkdtempSync(join(tmpdir(), "guardian-bounds-"));
        try {
          const [bin, file] = [await clientFolder(major), join(folder, "dump")];
          await run(join(bin, "pg_dump"), ["--format=custom", `--file=${file}`], { env: env(db.admin) });
          await withEmpty(async (other) => {
            await run(join(bin, "pg_restore"), ["--exit-on-error", `--dbname=${other.name}`, file], {
              env: env(other.admin),
            });
            expect(await content(await other.connect("admin"))).to.deep.equal(before);
          });
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      }),
  );

  it("16-9: every bound is one that was chosen: none is missing, each is explained, each CHECK is immutable and of its row alone", () =>
    withBounds(async (client, { users, server }) => {
      const open = users.filter(
        (one) =>
          !one.bytes && !one.characters && !one.entries && !one.words && !one.pattern && one.checkedBy === undefined,
      );
      expect(open.map(({ table, column }) => `${table}.${column}`)).to.deep.equal([]);
      // By counting entries alone nothing is said of how long one is.
      const counted = [...users, ...server].filter((one) => one.entries !== undefined && !one.bytes && !one.words);
      expect(counted.map(({ table, column }) => `${table}.${column}`)).to.deep.equal([
        "public.document_processing_pipelines.stages",
      ]);
      const sizes = [...users, ...server].filter((one) => (one.bytes ?? one.characters ?? one.entries) !== undefined);
      expect(
        [...new Set(sizes.map(({ table, column }) => `${table.replace("public.", "")}.${column}`))].sort(),
      ).to.deep.equal(Object.keys(room).sort());
      const [bad] = await Promise.all([
        client.query<{ name: string }>(
          `SELECT DISTINCT k.conname AS name FROM pg_constraint k JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
           LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
           WHERE k.contype = 'c' AND k.conname ~ '_bound$' AND (p.provolatile <> 'i'
             OR d.refclassid = 'pg_class'::regclass AND d.refobjid <> k.conrelid)`,
        ),
      ]);
      expect(bad.rows).to.deep.equal([]);
    }));

  it("16-9: every CHECK that bounds a value takes it at its bound and refuses it one byte above, the server side's too", () =>
    withBounds(async (client) => {
      const { rows } = await client.query<{
        name: string;
        check: string;
        column: string;
        type: string;
        bytes: number | null;
        n: number | null;
      }>(
        `SELECT k.conname AS name, pg_get_expr(k.conbin, k.conrelid) AS check, a.attname AS column, format_type(a.atttypid, NULL) AS type,
                substring(pg_get_expr(k.conbin, k.conrelid) FROM 'octet_length.* <= (\\d+)')::int AS bytes,
                substring(pg_get_expr(k.conbin, k.conrelid) FROM 'cardinality[^<]* <= (\\d+)')::int AS n
         FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
         WHERE k.contype = 'c' AND k.conname ~ '_bound$' AND cardinality(k.conkey) = 1 ORDER BY 1`,
      );
      expect(rows.length).to.be.above(20);
      for (const { name, check, column, type, bytes, n } of rows) {
        const of: Record<string, string> = {
          text: "repeat('x', $1)",
          bytea: "convert_to(repeat('x', $1), 'UTF8')",
          jsonb: `('"' || repeat('x', $1 - 2) || '"')::jsonb`,
          "text[]":
            bytes === null
              ? "array_fill('x'::text, ARRAY[$1])"
              : `array_fill('x'::text, ARRAY[${(n ?? 1) - 1}]) || repeat('x', $1 - 2 * ${n ?? 1})`,
        };
        const takes = (size: number): Promise<boolean> =>
          value(client, `SELECT ${check} FROM (SELECT ${of[type]!.replaceAll("$1", String(size))} AS "${column}") v`);
        const most = bytes ?? n ?? 0;
        // A large one takes long to try: it says nothing but this.
        if (most > 1 << 20) {
          expect(check, name).to.match(new RegExp(`^\\(octet_length\\(\\(?${column}\\)?(::text)?\\) <= ${most}\\)$`));
          continue;
        }
        expect([await takes(most - 1), await takes(most), await takes(most + 1)], name).to.deep.equal([
          true,
          true,
          false,
        ]);
        if (bytes !== null && n !== null)
          expect(
            await value(client, `SELECT ${check} FROM (SELECT array_fill(''::text, ARRAY[${n + 1}]) AS "${column}") v`),
            name,
          ).to.equal(false);
      }
    }));
});
