import { expect } from "chai";
import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { loadModule } from "../../engine/module/files/manifest";
import { as, testOn, value } from "../support/modules";
import { callable, callOf, controls, me, tryAs, twoPatients } from "./callers";
import { listed, modules } from "./every_module";

/** A column of text, or of texts. */
interface Column {
  table: string;
  column: string;
  array: boolean;
  checks: string[];
}

/** Its values are checked by a trigger. */
const preferences = "public.user_preferences";

const named = ({ table, column }: Column): string => `${table.replace("public.", "")}.${column}`;
const words = "words for people, of as many lines as they like; they become a body, never a header";
const ours =
  "written by the tables' owner alone: of the catalogue, of our own SQL, or by an operator at his own prompt";

/** Text columns that take control characters, and why they may. */
const prose: Record<string, string> = {
  "audit_log.actor_role": ours,
  "audit_log.changed_columns": ours,
  "collaboration_conflicts.attempted_content": words,
  "collaborative_clinical_notes.content": words,
  "collaborative_note_versions.content": words,
  "consent_fhir_mappings.source_version": ours,
  "document_processing_pipelines.description": words,
  "document_processing_queue.error_message": words,
  "document_processing_queue.pipeline_name": "copied from the pipeline, whose name is a word",
  "feature_flags.description": ours,
  "fhir_api_audit.initiated_by": "the role's name; no role but the owner has a right to the column",
  "fhir_document_references.source_version": ours,
  "fhir_medication_requests.source_version": ours,
  "fhir_observations.source_version": ours,
  "fhir_patient_mappings.source_version": ours,
  "fhir_test_cases.description": ours,
  "fhir_test_cases.expected_errors": ours,
  "fhir_test_cases.resource_type": ours,
  "fhir_test_cases.test_name": ours,
  "hl7_messages.raw_message": "a message as it came: its segments end with CR",
  "legacy_system_mappings.fhir_path": ours,
  "legacy_system_mappings.source_entity": ours,
  "legacy_system_mappings.source_field": ours,
  "legacy_system_mappings.system_name": ours,
  "migration_session_steps.kind": ours,
  "migration_session_steps.step_name": ours,
  "migration_sessions.current_step": ours,
  "migration_sessions.initiated_by": ours,
  "migration_sessions.migration_environment": ours,
  "migration_sessions.migration_type": ours,
  "migration_sessions.notes": ours,
  "migration_sessions.source_version": ours,
  "migration_sessions.target_version": ours,
  "notification_delivery_channels.notification_types_enabled":
    "compared with the types that there are, and sent nowhere",
  "notification_queue.body": words,
  "patient_consent_audit.action_role": ours,
  "patient_consent_audit.changed_columns": ours,
  "patient_consent_audit.new_state": ours,
  "patient_consent_audit.previous_state": ours,
  "patient_consents.consent_version": ours,
  "patient_consents.revocation_reason": words,
  "user_preferences.hide_sensitive_conditions": "compared with conditions, and sent nowhere",
  "v6_query_times.test_name": ours,
  "v6_row_counts.entity": ours,
  "v6_row_counts.relation": ours,
};

const bases = ["ab", "AB", "A04", "public.ab", "https://example.org/ab", "a@example.org", "1234"];
const broken = (base: string): string[] =>
  controls.flatMap((c) => [`${base}${c}`, `${base.slice(0, -1)}${c}${base.slice(-1)}`]);

async function columns(admin: Client): Promise<Column[]> {
  const { rows } = await admin.query<Column>(
    `SELECT t.name AS table, a.attname AS column, a.atttypid = 'text[]'::regtype AS array, ARRAY(
       SELECT pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k
       WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]) AS checks
     FROM unnest($1::text[]) AS t (name) JOIN pg_attribute a ON a.attrelid = t.name::regclass
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'text[]'::regtype)
     ORDER BY 1, a.attnum`,
    [listed("table")],
  );
  return rows;
}

/** Which of some values a column takes, by its own CHECKs; of preferences by what an UPDATE of a user's says. */
async function taken(admin: Client, of: Column, values: readonly string[]): Promise<string[]> {
  const column = escapeIdentifier(of.column);
  if (of.table === preferences) {
    const set = `UPDATE public.user_preferences SET ${column} = ${of.array ? "ARRAY[one]" : "one"}`;
    await admin.query(
      `CREATE OR REPLACE FUNCTION pg_temp.takes(one text) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN ${set}; RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END $$`,
    );
    const given = values.map((one) => escapeLiteral(one)).join(", ");
    const look = `SELECT one FROM unnest(ARRAY[${given}]) AS u (one) WHERE pg_temp.takes(one)`;
    const { rows = [] } = await tryAs(admin, "authenticated", look);
    return (rows as { one: string }[]).map(({ one }) => one);
  }
  const checks = of.checks.map((check) => `AND (${check}) IS NOT FALSE`).join(" ");
  const { rows } = await admin.query<{ value: string }>(
    `SELECT value FROM (SELECT value, ${of.array ? "ARRAY[value]" : "value"} AS ${column} FROM unnest($1::text[]) AS u (value)) v
     WHERE true ${checks}`,
    [values],
  );
  return rows.map((row) => row.value);
}

/** The columns that are a line: whatever they take, no control character. */
async function lineColumns(admin: Client, which: (of: Column) => boolean = () => true): Promise<Column[]> {
  const found: Column[] = [];
  for (const of of (await columns(admin)).filter(which)) {
    const good = await taken(admin, of, bases);
    // Words of a list, or a pattern of what is allowed: none of the bases is.
    const tried = (good.length > 0 ? good.slice(0, 2) : bases.slice(0, 1)).flatMap(broken);
    if ((await taken(admin, of, tried)).length === 0) found.push(of);
  }
  return found;
}

const control = "[\\u0001-\\u001F\\u007F-\\u009F\\u2028\\u2029]";

/** Functions that have their table's CHECKs refuse a value, and tell the error without it. */
const catching = /^public\.(save_fhir_endpoint|save_fhir_oauth_config|store_fhir_tokens)\(/;

/** Gives each text argument of functions a header of its own. @returns what was told of it, or written to a line */
async function headers(admin: Client, lines: readonly Column[], which: (name: string) => boolean): Promise<string[]> {
  const look = lines.map(
    (of) =>
      `SELECT ${escapeLiteral(named(of))} AS line FROM ${of.table} WHERE ${escapeIdentifier(of.column)}::text ~ '${control}'`,
  );
  const wrong: string[] = [];
  let tried = 0;
  for (const role of ["authenticated", "service_role", "guardian_operator"]) {
    for (const routine of (await callable(admin, role)).filter(({ name }) => which(name))) {
      for (const [i, { name, type }] of routine.args.entries()) {
        if (!/^(text|jsonb)/.test(type)) continue;
        for (const bad of ["Zq\r\nBcc: z", "Zq\u2028z"]) {
          const given = { [i]: argument(name, type, bad) };
          const { error, after } = await tryAs(admin, role, callOf(routine, given), look.join(" UNION ALL "));
          tried += 1;
          if (error !== undefined && /Zq/.test(error)) wrong.push(`${role} ${routine.name} ${name} tells: ${error}`);
          for (const line of after ?? []) wrong.push(`${role} ${routine.name} ${name} writes ${line}`);
        }
      }
    }
  }
  expect(tried).to.be.above(20);
  return wrong;
}

/** A text as an argument of a type: of what JSON means by its name. */
function argument(name: string, type: string, text: string): string {
  const json: Record<string, unknown> = {
    p_resource: { resourceType: "Patient", id: text, identifier: [{ value: text }] },
    p_stages: [{ stage: text, processor_type: "ocr_extraction" }],
    p_settings: { supported_resources: [text] },
  };
  if (type === "text[]") return `ARRAY[${escapeLiteral(text)}]`;
  return escapeLiteral(type === "jsonb" ? JSON.stringify(json[name] ?? { k: text }) : text);
}

const test = testOn(modules);
const testUpTo007 = testOn(modules.slice(0, 8));

describe("what goes into a line of a protocol", function () {
  this.timeout(120_000);

  test("16-14 every text column refuses control characters, or has a reason not to", async (_client, db) => {
    const admin = await db.connect("admin");
    await admin.query("INSERT INTO auth.users (id, created_at) VALUES ($1, now())", [me]);
    await admin.query("INSERT INTO public.user_preferences (user_id) VALUES ($1)", [me]);
    const lines = await lineColumns(admin);
    const others = (await columns(admin)).map(named).filter((name) => !lines.some((line) => named(line) === name));
    expect(others.sort()).to.deep.equal(Object.keys(prose).sort());
    // JSON escapes them wherever it is written; but of these the strings themselves are used.
    for (const c of controls) {
      for (const json of [[{ phone: `1${c}2` }], [{ [`a${c}`]: 1 }], [{ "a\\": `\\${c}` }]]) {
        const contacts = escapeLiteral(JSON.stringify(json));
        const set = `UPDATE public.user_preferences SET emergency_contacts = ${contacts}`;
        expect((await tryAs(admin, "authenticated", set)).code, contacts).to.equal("23514");
        const settings = escapeLiteral(JSON.stringify({ auth_config: json[0] }));
        const save = `SELECT public.save_fhir_endpoint('x', 'https://x.example', 'none', ${settings})`;
        expect((await tryAs(admin, "guardian_operator", save)).code, settings).to.equal("23514");
      }
    }
    const plain = JSON.stringify([{ name: "Ann \\n Ö \\\\u0001 \u{1F600}", phone: "+49 30 1" }]);
    const fine = `UPDATE public.user_preferences SET emergency_contacts = ${escapeLiteral(plain)}`;
    expect(await tryAs(admin, "authenticated", fine)).to.include.keys("rows");
    // The server side's own writes: the CHECK's error would quote the row.
    for (const row of [
      "hl7_messages (message_type, message_control_id, raw_message) VALUES ('ADT^A08', $, 'Zq')",
      "hl7_messages (message_type, message_control_id, raw_message, patient_identifier) VALUES ('ADT^A08', '1', 'Zq', $)",
      "hl7_to_fhir_conversions (hl7_message_id, fhir_resources, target_profile) VALUES (gen_random_uuid(), '[]', $)",
      "legacy_import_jobs (system_name, fhir_resource_type) VALUES ($, 'Patient')",
      "fhir_api_audit (endpoint_id, operation, request_url) VALUES (gen_random_uuid(), 'read', 'https://x.example/' || $)",
    ])
      for (const c of controls) {
        const text = `INSERT INTO public.${row.replace("$", escapeLiteral(`Zq${c}x`))}`;
        const said = await tryAs(admin, "service_role", text);
        expect([said.code, /Zq/.test(said.error ?? "")], text).to.deep.equal(["23514", false]);
      }
    expect(await headers(admin, lines, (name) => catching.test(name))).to.deep.equal([]);
  });

  test("16-14 every function refuses them itself, before anything is written, and quotes nothing", async (_client, db) => {
    const admin = await db.connect("admin");
    const lines = await lineColumns(admin, (of) => of.table !== preferences);
    await twoPatients(admin);
    expect(await headers(admin, lines, (name) => !catching.test(name))).to.deep.equal([]);
  });

  testUpTo007(
    "16-14 an address is one address, and one with a header behind it that waits in the archive stays there, named",
    async (client, db, engine) => {
      const user = await value<string>(client, "SELECT id FROM auth.users ORDER BY id LIMIT 1");
      const admin = await db.connect("admin");
      const add = (kind: string, address: string): Promise<string> =>
        as(admin, user, "SELECT public.add_notification_channel($1, $2)", [kind, address]);
      const refused = async (kind: string, address: string): Promise<unknown> =>
        add(kind, address).then(
          () => "taken",
          (err: unknown) => {
            const { code, message, detail } = err as { code: string; message: string; detail?: string };
            return `${message} ${detail ?? ""}`.includes(address) ? "told" : code;
          },
        );
      for (const address of [
        "a@x.example,b@y.example",
        "Ann <a@x.example>",
        "a@x.example b",
        "a@b@c.example",
        "nobody",
        '"a b"@x.example',
      ])
        expect(await refused("email", address), address).to.equal("22023");
      for (const address of ["+49 1,+49 2", "tel:1", "+49 1;ext=2"])
        expect(await refused("sms", address), address).to.equal("22023");
      await add("email", "jürgen.o'neil+tag@müller.example");
      await add("sms", "+49 (30) 1-2.3");
      await add("push", "fcm:APA91b_-/=");
      await engine.undo("007_notification_queue");
      const name = await value<string>(client, "SELECT archived_as FROM guardian_migration.archived");
      await client.query(`ALTER TABLE ${name} DROP CONSTRAINT notification_delivery_channels_identifier_line,
        DROP CONSTRAINT notification_delivery_channels_address_check`);
      await client.query(
        `UPDATE ${name} SET channel_identifier = E'a@x.example\\r\\nBcc: b@y.example' WHERE channel_type = 'email'`,
      );
      const { refused: stay } = await engine.apply(await loadModule("007_notification_queue"));
      expect(stay.map(({ rows }) => rows)).to.deep.equal([1]);
      expect(
        await value(
          client,
          "SELECT array_agg(channel_type ORDER BY channel_type) FROM public.notification_delivery_channels",
        ),
      ).to.deep.equal(["push", "sms"]);
      expect(
        await value(
          client,
          "SELECT concat_ws(' ', urn, sqlstate) || (object ~ '_(line|address_check)$') FROM guardian_migration.reject",
        ),
      ).to.equal(`${name} 23514true`);
    },
  );
});
