import { expect } from "chai";
import type { Client } from "pg";
import { asRole } from "../support/postgres";
import { applyModule, describeLifecycle, refusal, undoModule, value, withModules } from "../support/modules";

const modules = ["000_audit_log", "004_enhanced_consent"];

/** Three accounts: a patient, somebody he may grant to, and a stranger. */
async function people(client: Client): Promise<[patient: string, doctor: string, stranger: string]> {
  const { rows } = await client.query<{ id: string }>("SELECT id FROM auth.users ORDER BY id LIMIT 3");
  return [rows[0]!.id, rows[1]!.id, rows[2]!.id];
}

/** One value, asked as a logged-in user. */
const as = <T = string>(client: Client, user: string | null, text: string, values: unknown[] = []): Promise<T> =>
  asRole(client, "authenticated", user, (c) => value<T>(c, text, values));

/** One value, asked as the server side. */
const service = <T = string>(client: Client, text: string, values: unknown[] = []): Promise<T> =>
  asRole(client, "service_role", null, (c) => value<T>(c, text, values));

const grant = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2)";
const grantFor = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2, $3)";
const refuse = "SELECT public.refuse_patient_consent($1, 'data_sharing', 'healthcare_services', $2)";
const request = "SELECT public.request_patient_consent($1, 'data_sharing', 'healthcare_services', $2)";
const revoke = "SELECT public.revoke_patient_consent($1, $2)";
const check = "SELECT public.check_consent_access($1, $2)";
const checkFor = "SELECT public.check_consent_access($1, $2, $3)";

/** What the trail says, oldest first. */
async function trail(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `SELECT concat_ws(' ', action, previous_state || ' ->', new_state) AS line
     FROM public.patient_consent_audit ORDER BY action_timestamp, id`,
  );
  return rows.map((row) => row.line);
}

/** The rows of the migration, as the owner writes them. */
const backfill = (mode: "assumed" | "pending"): string => `
  INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted, legal_basis, explicit_consent,
    consent_evidence, consent_metadata, valid_from, created_at)
  SELECT id, 'data_sharing', 'healthcare_services', ${mode === "assumed"}, '${mode === "assumed" ? "contract" : "consent"}', false,
    '{"source": "guardian v6", "statement": "terms of use"}', '${mode === "assumed" ? "{}" : '{"state": "pending"}'}', created_at, created_at
  FROM auth.users WHERE created_at < now() - interval '1 day' ON CONFLICT DO NOTHING`;

describe("004_enhanced_consent", function () {
  this.timeout(60_000);

  describeLifecycle("004_enhanced_consent", {
    "ALTER TABLE public.patient_consents DISABLE ROW LEVEL SECURITY": /patient_consents: NO row security/,
    "GRANT INSERT ON public.patient_consents TO authenticated": /patient_consents: authenticated may INSERT/,
    "GRANT TRUNCATE ON public.patient_consent_audit TO service_role": /patient_consent_audit: service_role may TRUNCATE/,
    "ALTER POLICY patient_consents_recipient ON public.patient_consents USING (granted_to IS NULL)": /not expected \[.*granted_to IS NULL/,
    "ALTER TABLE public.patient_consents DISABLE TRIGGER patient_consents_audit_update": /audit_update .*DISABLED/,
    "ALTER TABLE public.patient_consent_audit DISABLE TRIGGER USER": /append_only .*DISABLED/,
    "ALTER TABLE public.patient_consents DROP CONSTRAINT revocation_logic": /missing \[.*revocation_logic/,
    "ALTER TABLE public.patient_consents DROP CONSTRAINT patient_consents_created_by_fkey": /missing \[.*created_by.* ON DELETE SET NULL/,
    "DROP INDEX public.patient_consents_live_key": /missing \[.*unique index public\.patient_consents_live_key/,
    "GRANT EXECUTE ON FUNCTION public.expire_patient_consents(uuid) TO PUBLIC": /PUBLIC may EXECUTE/,
    "ALTER FUNCTION public.check_consent_access(uuid, uuid, text, text, text) RESET ALL": /search_path NOT pinned/,
    "ALTER VIEW public.user_consent_summary RESET (security_invoker)": /missing \[.*security_invoker=true/,
  });

  for (const major of [15, 17] as const) {
    describe(`on PostgreSQL ${major}`, () => {
      it("C-1: needs no table that v6 does not have", async () => {
        await withModules(major, modules, async (client) => {
          const [, doctor] = await people(client);
          expect(await value(client, "SELECT to_regclass('public.healthcare_provider_access')")).to.equal(null);
          expect(await as(client, doctor, "SELECT count(*) FROM public.patient_consents")).to.equal("0");
        });
      });

      it("C-2: pending, refused and expired can be stored; a refusal without a word of it cannot", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          const insert = (columns: string, values: string) =>
            client.query(
              `INSERT INTO public.patient_consents (patient_id, consent_type, legal_basis, purpose, ${columns})
               VALUES ($1, 'ai_processing', 'consent', 'x' || md5(random()::text), ${values})`,
              [patient],
            );
          for (const state of ["pending", "refused", "expired"]) {
            await insert("granted, consent_metadata", `false, '{"state": "${state}"}'`);
          }
          await insert("granted", "true");
          await insert("granted, revoked_at", "false, now()");
          for (const [columns, values] of [
            ["granted", "false"],
            ["consent_metadata", `'{"state": "maybe"}'`],
            ["granted, revoked_at", "true, now()"],
            ["granted, consent_metadata", `true, '{"state": "refused"}'`],
            ["granted, revoked_at, consent_metadata", `false, now(), '{"state": "pending"}'`],
          ] as const) {
            expect((await refusal(insert(columns, values))).code, values).to.equal("23514");
          }
          const asked = await service(client, request, [patient, doctor]);
          expect(await service(client, request, [patient, doctor]), "asked once").to.equal(asked);
          expect(await service(client, check, [patient, doctor])).to.equal(false);
          expect(await as(client, patient, refuse, [patient, doctor]), "the request is answered").to.equal(asked);
          expect(await as(client, patient, refuse, [patient, doctor]), "twice is as once").to.equal(asked);
          expect(await service(client, check, [patient, doctor])).to.equal(false);
        });
      });

      it("C-2: a consent past its end expires, or is renewed where the patient wants that, and can be renewed", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor, other] = await people(client);
          const id = await as(client, patient, grant, [patient, doctor]);
          const again = await as(client, other, grant, [other, doctor]);
          await as(client, other, "INSERT INTO public.user_consent_preferences (user_id, auto_renew_enabled) VALUES ($1, true) RETURNING 1", [other]);
          await client.query("UPDATE public.patient_consents SET valid_from = now() - interval '2 days', valid_until = now() - interval '1 day'");
          expect(await service(client, check, [patient, doctor]), "over before anybody swept").to.equal(false);
          expect(await as(client, patient, "SELECT status FROM public.user_consent_summary")).to.equal("expired");
          expect(await service(client, "SELECT public.expire_patient_consents()")).to.equal("2");
          expect(await service(client, "SELECT public.expire_patient_consents()")).to.equal("0");
          expect(await service(client, check, [patient, doctor])).to.equal(false);
          expect(await service(client, check, [other, doctor])).to.equal(true);
          expect(await as(client, patient, "SELECT public.renew_patient_consent($1)", [id])).to.equal(true);
          expect(await as(client, patient, "SELECT public.renew_patient_consent($1, now() + interval '1 hour')", [id]), "no shorter").to.equal(false);
          expect(await service(client, check, [patient, doctor])).to.equal(true);
          expect((await refusal(as(client, patient, "SELECT public.renew_patient_consent($1)", [again]))).code, "not his").to.equal("42501");
          expect((await trail(client)).slice(4).sort()).to.deep.equal([
            "expired granted -> expired",
            "renewed expired -> granted",
            "renewed granted -> granted",
          ]);
        });
      });

      it("C-3: a general consent shows nobody's row to anybody else", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor, stranger] = await people(client);
          await client.query(backfill("assumed"));
          await as(client, patient, grantFor, [patient, doctor, "medications"]);
          const seen = "SELECT coalesce(string_agg(DISTINCT coalesce(patient_id::text, ''), ','), '') FROM public.patient_consents";
          expect(await as(client, patient, seen)).to.equal(patient);
          expect(await as(client, stranger, `${seen} WHERE patient_id <> auth.uid()`)).to.equal("");
          expect(await as(client, doctor, `${seen} WHERE patient_id <> auth.uid()`), "what was granted to him").to.equal(patient);
          await as(client, patient, revoke, [await value(client, "SELECT id FROM public.patient_consents WHERE granted_to IS NOT NULL"), null]);
          expect(await as(client, doctor, `${seen} WHERE patient_id <> auth.uid()`), "after revocation").to.equal("");
        });
      });

      it("C-4: access needs a consent to this person, of this type, purpose and resource", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor, stranger] = await people(client);
          await client.query(backfill("assumed"));
          expect(await service(client, check, [patient, stranger]), "a general consent opens nothing").to.equal(false);
          expect(await service(client, "SELECT public.has_general_consent($1, 'data_sharing', 'healthcare_services')", [patient])).to.equal(true);
          expect(await service(client, "SELECT public.has_general_consent($1, 'ai_processing', 'healthcare_services')", [patient])).to.equal(false);
          await as(client, patient, "SELECT public.grant_patient_consent($1, 'marketing_communication', 'healthcare_services', $2)", [patient, doctor]);
          expect(await service(client, check, [patient, doctor]), "marketing opens no clinical data").to.equal(false);
          await as(client, patient, grantFor, [patient, doctor, "medications"]);
          expect(await service(client, checkFor, [patient, doctor, "medications"])).to.equal(true);
          expect(await service(client, checkFor, [patient, doctor, "lab_results"])).to.equal(false);
          expect(await service(client, check, [patient, doctor]), "the whole record").to.equal(false);
          await as(client, patient, grant, [patient, doctor]);
          expect(await service(client, check, [patient, doctor])).to.equal(true);
          expect(await service(client, checkFor, [patient, doctor, "lab_results"])).to.equal(true);
          const research = "SELECT public.check_consent_access($1, $2, NULL, 'research')";
          expect(await service(client, research, [patient, doctor])).to.equal(false);
          const nothing = "SELECT public.check_consent_access(NULL, NULL, NULL, NULL, NULL)";
          expect(await service(client, nothing), "all NULL").to.equal(false);
          expect(await service(client, check, [patient, null])).to.equal(false);
          expect(await as(client, patient, check, [patient, patient]), "his own record").to.equal(true);
        });
      });

      it("C-4: patient and accessor may ask; anon and third parties learn nothing", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor, stranger] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          expect(await as(client, patient, check, [patient, doctor])).to.equal(true);
          expect(await as(client, doctor, check, [patient, doctor])).to.equal(true);
          for (const user of [stranger, null]) {
            expect((await refusal(as(client, user, check, [patient, doctor]))).code).to.equal("42501");
            expect((await refusal(as(client, user, "SELECT public.has_general_consent($1, 'data_sharing', 'x')", [patient]))).code).to.equal("42501");
          }
          expect((await refusal(asRole(client, "anon", null, (c) => c.query(check, [patient, doctor])))).code).to.equal("42501");
        });
      });

      it("C-5: only the patient grants, refuses, revokes and renews; no user at all is a refusal", async () => {
        await withModules(major, modules, async (client, db) => {
          const [patient, doctor, stranger] = await people(client);
          const id = await as(client, patient, grant, [patient, doctor]);
          const admin = await db.connect("admin");
          for (const [role, user] of [["anon", null], ["authenticated", null], ["authenticated", stranger], ["service_role", null], ["guardian_operator", null], ["guardian_migrator", null]] as const) {
            for (const [sql, values] of [
              [grant, [patient, stranger]],
              [refuse, [patient, stranger]],
              [revoke, [id, "forged"]],
              ["SELECT public.renew_patient_consent($1)", [id]],
              [revoke, ["00000000-0000-4000-8000-000000000000", null]],
            ] as const) {
              const said = await refusal(asRole(admin, role, user, (c) => c.query(sql, [...values])));
              expect(said.code, `${role}: ${sql}`).to.equal("42501");
            }
          }
          for (const user of [patient, doctor, stranger]) {
            expect((await refusal(as(client, user, request, [patient, user]))).code, "users ask for nothing").to.equal("42501");
          }
          expect(await trail(client)).to.deep.equal(["granted granted"]);
        });
      });

      it("C-6: a temporary table patient_consents does not answer for the real one", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          const answer = await asRole(client, "authenticated", doctor, async (c) => {
            await c.query(`CREATE TEMP TABLE patient_consents AS SELECT '${patient}'::uuid AS patient_id, 'data_sharing' AS consent_type,
              'healthcare_services' AS purpose, '${doctor}'::uuid AS granted_to, NULL::text AS resource_type, true AS granted,
              now() AS valid_from, NULL::timestamptz AS valid_until, NULL::timestamptz AS revoked_at`);
            return value(c, check, [patient, doctor]);
          });
          expect(answer).to.equal(false);
        });
      });

      it("C-7: a patient's grant is audited although he may write neither table himself", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          for (const table of ["patient_consents", "patient_consent_audit"]) {
            for (const sql of [`INSERT INTO public.${table} DEFAULT VALUES`, `UPDATE public.${table} SET patient_id = NULL`, `DELETE FROM public.${table}`]) {
              expect((await refusal(asRole(client, "authenticated", patient, (c) => c.query(sql)))).message).to.equal(`permission denied for table ${table}`);
            }
          }
          await as(client, patient, grant, [patient, doctor]);
          expect(await as(client, patient, "SELECT count(*) FROM public.patient_consent_audit"), "his own trail").to.equal("1");
          expect(await as(client, doctor, "SELECT count(*) FROM public.patient_consent_audit")).to.equal("0");
        });
      });

      it("C-8: a consent can be deleted, which is audited, and its trail outlives it", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          await client.query("DELETE FROM public.patient_consents");
          expect(await trail(client)).to.deep.equal(["granted granted", "deleted granted ->"]);
          expect(await value(client, "SELECT gdpr_notification_required FROM public.patient_consent_audit WHERE action = 'deleted'")).to.equal(true);
        });
      });

      it("C-9: one row a change, with what happened and who did it; revoking twice is as once", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          const id = await as(client, patient, grant, [patient, doctor]);
          expect(await as(client, patient, `${grant.slice(0, -1)}, NULL, now() + interval '3 years')`, [patient, doctor])).to.equal(id);
          expect(await as(client, patient, revoke, [id, "changed my mind"])).to.equal(true);
          expect(await as(client, patient, revoke, [id, "once more"])).to.equal(false);
          const { rows } = await client.query(
            `SELECT consent_id, action, previous_state, new_state, action_by, action_role, gdpr_notification_required AS tell
             FROM public.patient_consent_audit ORDER BY action_timestamp`,
          );
          const by = { consent_id: id, action_by: patient, action_role: "authenticated" };
          expect(rows).to.deep.equal([
            { ...by, action: "granted", previous_state: null, new_state: "granted", tell: false },
            { ...by, action: "renewed", previous_state: "granted", new_state: "granted", tell: false },
            { ...by, action: "revoked", previous_state: "granted", new_state: "revoked", tell: true },
          ]);
          expect(await value(client, "SELECT revocation_reason FROM public.patient_consents")).to.equal("changed my mind");
          expect(await value(client, "SELECT string_agg(a::text, '') FROM public.patient_consent_audit a")).not.to.contain("mind");
          await client.query("UPDATE public.patient_consents SET consent_version = '1.1'");
          await client.query("UPDATE public.patient_consents SET consent_version = '1.1'");
          expect((await trail(client)).slice(3)).to.deep.equal(["modified revoked -> revoked"]);
          expect(await value(client, "SELECT changed_columns FROM public.patient_consent_audit WHERE action = 'modified'")).to.deep.equal(["consent_version"]);
        });
      });

      it("C-10: nobody changes, deletes or truncates the trail, service_role and owner included", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          for (const sql of ["UPDATE public.patient_consent_audit SET action = 'revoked'", "DELETE FROM public.patient_consent_audit", "TRUNCATE public.patient_consent_audit", "TRUNCATE public.patient_consents"]) {
            for (const role of ["anon", "authenticated", "service_role", "guardian_migrator"]) {
              expect((await refusal(asRole(client, role, patient, (c) => c.query(sql)))).code, `${role}: ${sql}`).to.equal("42501");
            }
          }
        });
      });

      it("C-11: an assumed consent that the patient gives himself becomes explicit and keeps its proof", async () => {
        await withModules(major, modules, async (client) => {
          await client.query(backfill("assumed"));
          const patient = await value<string>(client, "SELECT patient_id FROM public.patient_consents ORDER BY 1 LIMIT 1");
          const explicit = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', p_consent_evidence => $2)";
          await as(client, patient, explicit, [patient, { method: "web form", statement: "I agree" }]);
          await as(client, patient, explicit, [patient, { method: "app" }]);
          const { rows } = await client.query(
            `SELECT explicit_consent, legal_basis, consent_evidence, valid_until BETWEEN now() + interval '364 days' AND now() + interval '367 days' AS year
             FROM public.patient_consents WHERE patient_id = $1`,
            [patient],
          );
          const before = { source: "guardian v6", statement: "terms of use" };
          const first = { source: "guardian v6", statement: "I agree", method: "web form" };
          expect(rows).to.deep.equal([
            { explicit_consent: true, legal_basis: "consent", consent_evidence: { ...first, method: "app", history: [before, first] }, year: true },
          ]);
          expect(await value(client, "SELECT count(*) FROM public.patient_consent_audit WHERE patient_id = $1 AND legal_basis_change", [patient])).to.equal("1");
        });
      });

      it("C-12: request settings left empty by an ended transaction do no harm", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          await client.query("SELECT set_config('request.headers', '', false), set_config('request.jwt.claim.sub', '', false), set_config('request.jwt.claims', '', false)");
          await as(client, patient, grant, [patient, doctor]);
          await client.query("UPDATE public.patient_consents SET consent_version = '2.0'");
          expect(await trail(client)).to.have.length(2);
        });
      });

      it("C-13: at most one live consent of a kind, also when two grants race", async () => {
        await withModules(major, modules, async (client, db) => {
          const [patient, doctor] = await people(client);
          const other = await db.connect();
          await client.query("BEGIN");
          await client.query("SELECT set_config('request.jwt.claims', $1, true)", [JSON.stringify({ sub: patient })]);
          const first = await value(client, grant, [patient, doctor]);
          const second = as(other, patient, grant, [patient, doctor]);
          await client.query("SELECT pg_sleep(0.1)");
          await client.query("COMMIT");
          expect(await second).to.equal(first);
          for (const nothing of ["NULL", `'${doctor}'`]) {
            const insert = `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, granted_to, granted, legal_basis)
              VALUES ('${patient}', 'data_sharing', 'healthcare_services', ${nothing}, true, 'consent')`;
            if (nothing === "NULL") await client.query(insert);
            expect((await refusal(client.query(insert))).code, "one live row").to.equal("23505");
          }
          for (let i = 0; i < 2; i++) {
            const id = await as(client, patient, grant, [patient, doctor]);
            await as(client, patient, revoke, [id, null]);
          }
          expect(await value(client, "SELECT count(*) FROM public.patient_consents WHERE revoked_at IS NOT NULL"), "many dead ones").to.equal("2");
        });
      });

      it("C-14: a second run of the module is refused whole, a second run of the back-fill adds nothing", async () => {
        await withModules(major, modules, async (client) => {
          expect((await refusal(applyModule(client, "004_enhanced_consent"))).code).to.equal("42P07");
          const first = await client.query(backfill("assumed"));
          expect(first.rowCount).to.be.above(200);
          expect((await client.query(backfill("assumed"))).rowCount).to.equal(0);
          expect((await client.query(backfill("pending"))).rowCount).to.equal(0);
        });
      });

      it("C-15: the summary runs with the caller's rights and shows him his own consents", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          const all = "SELECT count(*) FROM public.user_consent_summary";
          expect(await as(client, patient, all)).to.equal("1");
          expect(await as(client, doctor, all), "also not what was granted to him").to.equal("0");
          await client.query("BEGIN");
          await client.query("REVOKE SELECT ON public.patient_consents FROM authenticated");
          await client.query("SET LOCAL ROLE authenticated");
          expect((await refusal(client.query(all))).message).to.equal("permission denied for table patient_consents");
          await client.query("ROLLBACK");
          expect((await refusal(asRole(client, "anon", null, (c) => c.query(all)))).code).to.equal("42501");
        });
      });

      it("C-16: a started day counts, an end in the past is refused in words, and who revoked is kept", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          const until = "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', $2, p_valid_until => now() + $3::interval)";
          const id = await as(client, patient, until, [patient, doctor, "36 hours"]);
          expect(await as(client, patient, "SELECT days_until_expiry FROM public.user_consent_summary")).to.equal(2);
          const said = await refusal(as(client, patient, until, [patient, doctor, "-1 hour"]));
          expect(said).to.deep.equal({ code: "22023", message: "p_valid_until must be in the future" });
          await as(client, patient, "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services', p_valid_until => 'infinity')", [patient]);
          expect(await as(client, patient, "SELECT days_until_expiry FROM public.user_consent_summary WHERE granted_to IS NULL")).to.equal(null);
          await as(client, patient, revoke, [id, null]);
          expect(await value(client, "SELECT updated_by FROM public.patient_consents WHERE id = $1", [id])).to.equal(patient);
        });
      });

      it("C-17: guide and check agree on the purpose, and a type or purpose in free words is refused", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          expect(await as(client, doctor, check, [patient, doctor])).to.equal(true);
          const say = "SELECT public.grant_patient_consent($1, $2, $3)";
          for (const [type, purpose] of [["data_sharing'; DROP TABLE public.documents; --", "research"], ["anything", "research"], ["data_sharing", "for Dr. Jane Doe"]]) {
            expect((await refusal(as(client, patient, say, [patient, type, purpose]))).code).to.equal("23514");
          }
          expect(await value(client, "SELECT to_regclass('public.documents') IS NOT NULL")).to.equal(true);
        });
      });

      it("S-9: one consent for every account older than a day, from auth.users.id, with its legal basis", async () => {
        await withModules(major, modules, async (client) => {
          const old = await value<string>(client, "SELECT count(*) FROM auth.users WHERE created_at < now() - interval '1 day'");
          await client.query(backfill("assumed"));
          expect(await value(client, "SELECT count(DISTINCT patient_id) || '/' || count(*) FROM public.patient_consents")).to.equal(`${old}/${old}`);
        });
      });

      it("S-10: an assumed consent is labelled as such, and the pending form asserts none", async () => {
        await withModules(major, modules, async (client) => {
          await client.query(backfill("pending"));
          const patient = await value<string>(client, "SELECT patient_id FROM public.patient_consents ORDER BY 1 LIMIT 1");
          const general = "SELECT public.has_general_consent($1, 'data_sharing', 'healthcare_services')";
          expect(await service(client, general, [patient]), "not asked yet").to.equal(false);
          expect(await as(client, patient, "SELECT status FROM public.user_consent_summary")).to.equal("pending");
          await as(client, patient, "SELECT public.grant_patient_consent($1, 'data_sharing', 'healthcare_services')", [patient]);
          expect(await service(client, general, [patient]), "asked and granted").to.equal(true);
          await client.query("DELETE FROM public.patient_consents");
          await client.query(backfill("assumed"));
          expect(await value(client, "SELECT DISTINCT explicit_consent::text || legal_basis FROM public.patient_consents")).to.equal("falsecontract");
        });
      });

      it("U-3: withdrawing is as easy as giving: nothing stops a revocation", async () => {
        await withModules(major, modules, async (client) => {
          const [patient] = await people(client);
          for (const type of ["data_sharing", "research_participation", "emergency_access", "family_access"]) {
            const id = await as(client, patient, "SELECT public.grant_patient_consent($1, $2, 'healthcare_services')", [patient, type]);
            expect(await as(client, patient, revoke, [id, null]), type).to.equal(true);
          }
        });
      });

      it("a batch of the ledger is not audited row by row, a forged one is", async () => {
        await withModules(major, modules, async (client) => {
          const batch = "00000000-0000-4000-8000-000000000001";
          await client.query(`CREATE SCHEMA guardian_migration;
            CREATE TABLE guardian_migration.batch (id uuid PRIMARY KEY, pid int, state text);
            INSERT INTO guardian_migration.batch VALUES ('${batch}', pg_backend_pid(), 'running');
            BEGIN; SET LOCAL guardian_migration.batch = '${batch}'; ${backfill("assumed")}; COMMIT`);
          expect(await trail(client)).to.deep.equal([]);
          await client.query(`BEGIN; SET LOCAL guardian_migration.batch = '${batch}'; DELETE FROM public.patient_consents; COMMIT`);
          expect(await trail(client)).to.deep.equal([]);
          await client.query("UPDATE guardian_migration.batch SET state = 'done'");
          const [patient, doctor] = await people(client);
          await asRole(client, "authenticated", patient, async (c) => {
            await c.query(`SET LOCAL guardian_migration.batch = '${batch}'`);
            await c.query(grant, [patient, doctor]);
          });
          expect(await trail(client)).to.deep.equal(["granted granted"]);
        });
      });

      it("a consent stays about the same person, purpose and recipient", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor, stranger] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          for (const column of ["id", "patient_id", "granted_to"]) {
            expect((await refusal(client.query(`UPDATE public.patient_consents SET ${column} = $1`, [stranger]))).code, column).to.equal("42501");
          }
        });
      });

      it("D-1: accounts of patients, recipients and actors can be deleted, under v7 and after a rollback", async () => {
        await withModules(major, modules, async (client) => {
          const [patient, doctor, actor] = await people(client);
          await as(client, patient, grant, [patient, doctor]);
          await as(client, actor, grant, [actor, doctor]);
          await client.query("UPDATE public.patient_consents SET created_by = $1, updated_by = $1 WHERE patient_id = $2", [doctor, actor]);
          await as(client, patient, "INSERT INTO public.user_consent_preferences (user_id) VALUES ($1) RETURNING 1", [patient]);
          await client.query("DELETE FROM auth.users WHERE id = $1", [doctor]);
          expect(await value(client, "SELECT string_agg(coalesce(created_by::text, 'null'), ',' ORDER BY created_by) FROM public.patient_consents")).to.equal(`${patient},null`);
          expect(await value(client, "SELECT count(*) FROM public.patient_consents WHERE granted_to IS NULL"), "does not become general").to.equal("0");
          await client.query("DELETE FROM auth.users WHERE id = $1", [patient]);
          expect(await value(client, "SELECT count(*) FROM public.patient_consents")).to.equal("1");
          expect((await trail(client)).at(-1)).to.equal("deleted granted ->");
          await undoModule(client, "004_enhanced_consent");
          await client.query("DELETE FROM auth.users WHERE id = $1", [actor]);
          expect(await value(client, "SELECT count(*) FROM guardian_archive.patient_consents")).to.equal("0");
          expect(await value(client, "SELECT count(*) > 3 FROM guardian_archive.patient_consent_audit"), "the trail stays").to.equal(true);
        });
      });
    });
  }
});
