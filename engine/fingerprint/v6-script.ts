import { randomUUID } from "node:crypto";
import { fromPostgres, GuardianError } from "../base/errors";
import { foreignReferences, type Reference } from "./references";
import { ScriptRunner, type Actor, type ScriptStep } from "./script-runner";
import type { Askable } from "../base/sql";

/** How each clinical table takes a row of user $1 from document $2. */
const clinical: Record<string, string> = {
  patient_medications: "medication_name, source_document_ids) VALUES ('2000-01-01', $1, 'Synthetic', ARRAY[$2::uuid]",
  patient_allergies: "allergen, source_document_ids) VALUES ('2000-01-01', $1, 'Synthetic', ARRAY[$2::uuid]",
  patient_conditions: "condition_name, source_document_ids) VALUES ('2000-01-01', $1, 'Synthetic', ARRAY[$2::uuid]",
  patient_lab_results:
    "test_name, result_value, test_date, source_document_id) VALUES ('2000-01-01', $1, 'Test', '<5', '2020-01-01', $2",
  patient_vitals: "measurement_date, heart_rate, source_document_id) VALUES ('2000-01-01', $1, '2020-01-01', 70, $2",
  patient_providers: "provider_name, source_document_ids) VALUES ('2000-01-01', $1, 'Synthetic', ARRAY[$2::uuid]",
};
const owned = ["documents", ...Object.keys(clinical)];
const ourselves: Actor = { role: "", user: null };

/**
 * Does what the v6 application does, as the roles that do it, and rolls all of it back: sign up, log in, upload, complete,
 * list and delete a document, add and change clinical rows, delete an account. Besides, for each foreign key that other
 * tables have on a v6 table, deletes a row that it refers to: a key that forbids this breaks v6, and a fresh account would
 * not show it. (v6 itself refuses to delete a document with laboratory results or vitals.)
 *
 * @param client not in a transaction; its user must own v6's tables or be a superuser.
 * @returns every step, in order. @throws GuardianError when the connection breaks.
 */
export async function runV6Script(client: Askable): Promise<{ passed: boolean; steps: ScriptStep[] }> {
  const run = new ScriptRunner(client);
  try {
    // search_path as the API has it: v6's functions name their tables without a schema.
    await client.query("BEGIN; SET LOCAL search_path = public, extensions; SET LOCAL lock_timeout = '10s'");
    const login = await loginService(run);
    await application(run, login);
    for (const reference of await foreignReferences(client)) await deleteReferred(run, login, reference);
  } catch (err) {
    throw fromPostgres(err, "v6 script");
  } finally {
    await client.query("ROLLBACK").catch(() => undefined); // a lost connection has rolled back already
  }
  return { passed: run.steps.every((step) => step.passed), steps: run.steps };
}

async function application(run: ScriptRunner, login: Actor): Promise<void> {
  const [user, other, document] = [randomUUID(), randomUUID(), randomUUID()];
  const patient = { role: "authenticated", user };
  await run.step("sign up", login, async () => {
    for (const id of [user, other]) {
      await run.expect(
        1,
        `INSERT INTO auth.users (id, email, role, aud, created_at, updated_at)
         VALUES ($1, $2, 'authenticated', 'authenticated', now(), now()) RETURNING id`,
        [id, `${id}@example.test`],
      );
    }
  });
  await run.step("log in by e-mail", login, async () => {
    await run.expect(1, "SELECT id FROM auth.users WHERE email = $1", [`${user}@example.test`]);
    await run.expect(1, "UPDATE auth.users SET last_sign_in_at = now() WHERE id = $1 RETURNING id", [user]);
  });
  const upload = `INSERT INTO public.documents (id, user_id, s3_key, original_name, mime_type)
    VALUES ($1, $2, 'synthetic/1_a.pdf', 'a.pdf', 'application/pdf') RETURNING id`;
  await run.step("upload a document", patient, () => run.expect(1, upload, [document, user]));
  await run.step("complete the document", { role: "service_role", user: null }, () =>
    run.expect(
      1,
      `UPDATE public.documents SET status = 'completed', processed_at = now(), medical_data = '{"documentType": "x"}'
       WHERE id = $1 RETURNING id`,
      [document],
    ),
  );
  await run.step("list one's own documents", patient, () =>
    run.expect(1, "SELECT id FROM public.documents WHERE status = 'completed'"),
  );
  await run.step("see nobody else's documents", { role: "authenticated", user: other }, () =>
    run.expect(0, "SELECT id FROM public.documents"),
  );
  await run.step("see nothing without a login", { role: "anon", user: null }, () =>
    run.expect(0, "SELECT id FROM public.documents"),
  );
  for (const [table, rest] of Object.entries(clinical)) {
    await run.step(`add and change a row of ${table}`, patient, async () => {
      const insert = `INSERT INTO public.${table} (updated_at, user_id, ${rest}) RETURNING id`;
      await run.expect(1, insert, [user, document]);
      await run.expect(1, `UPDATE public.${table} SET confidence_score = 0.5 WHERE user_id = $1 RETURNING id`, [user]);
      await run.expect(1, `SELECT id FROM public.${table} WHERE updated_at = now()`); // the trigger saw to that
    });
  }
  await run.step("delete a document", patient, async () => {
    const id = randomUUID();
    await run.expect(1, upload, [id, user]);
    await run.expect(1, "DELETE FROM public.documents WHERE id = $1 RETURNING id", [id]);
    await run.expect(0, "SELECT id FROM public.documents WHERE id = $1", [id]);
  });
  await run.step("delete the account and all its rows", ourselves, () => deleteAccount(run, login, user));
  const settled = `SELECT user_id AS id FROM public.patient_lab_results WHERE user_id IS NOT NULL LIMIT 1`;
  const deleteSettled = async () => {
    const [row] = await run.rows(settled);
    if (row) await deleteAccount(run, login, row["id"] as string);
  };
  await run.step("delete an account that was there before", ourselves, deleteSettled, false);
}

/** Deletes a row of a v6 table that a key of another table refers to; passes if it refers to none. */
async function deleteReferred(run: ScriptRunner, login: Actor, reference: Reference): Promise<void> {
  const { key, from, column, target, targetColumn } = reference;
  const free =
    target === "public.documents"
      ? ` AND NOT EXISTS (SELECT FROM public.patient_lab_results l WHERE l.source_document_id = t.id)
          AND NOT EXISTS (SELECT FROM public.patient_vitals v WHERE v.source_document_id = t.id)`
      : "";
  const find = `SELECT t.${targetColumn} AS key FROM ${target} t
    WHERE EXISTS (SELECT FROM ${from} f WHERE f.${column} = t.${targetColumn})${free} LIMIT 1`;
  const work = async () => {
    const [row] = await run.rows(find);
    if (!row) return;
    if (target === "auth.users") await deleteAccount(run, login, row["key"] as string);
    else await run.expect(1, `DELETE FROM ${target} WHERE ${targetColumn} = $1 RETURNING 1`, [row["key"]]);
  };
  await run.step(`delete a row of ${target} that ${key} refers to`, ourselves, work, false);
}

/** Deletes as the login service does; then none of v6's tables has a row of that user. */
async function deleteAccount(run: ScriptRunner, login: Actor, user: string): Promise<void> {
  await run.become(login.role);
  await run.expect(1, "DELETE FROM auth.users WHERE id = $1 RETURNING id", [user]);
  await run.become("");
  await run.expect(0, "SELECT id FROM auth.users WHERE id = $1", [user]);
  for (const table of owned) {
    const left = (await run.rows(`SELECT id FROM public.${table} WHERE user_id = $1`, [user])).length;
    const what = `${left} row(s) of the deleted account are left in ${table}`;
    if (left > 0) throw new GuardianError("measurement-failed", { what });
  }
}

/** Supabase's login service, if our user may become it; else ourselves, who may delete accounts in SQL. */
async function loginService(run: ScriptRunner): Promise<Actor> {
  const rows = await run.rows(
    `SELECT FROM pg_catalog.pg_roles
     WHERE rolname = 'supabase_auth_admin' AND pg_catalog.pg_has_role(session_user, oid, 'MEMBER')`,
  );
  return rows.length > 0 ? { role: "supabase_auth_admin", user: null } : ourselves;
}
