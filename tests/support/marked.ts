import { expect } from "chai";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "pg";
import { server, type V6 } from "./postgres";
import type { TestStack } from "./stack";

/** Marks that no output, state or ledger may hold: each stands for a value of a row. */
const mark = "MARKED-4711";

/** One that is on a flag's list: it stands in the flag's row and in the ledger, and nowhere else in clear. */
const listed = "11111111-2222-4333-8444-555555555555";

/** Writes marks into what users wrote into v6, and a user of nobody's on a flag's list into the stack's file. */
export async function plantMarks(admin: Client, stack: TestStack): Promise<void> {
  await admin.query("UPDATE auth.users SET email = 'a' || substr(id::text, 1, 8) || $1 || '@x.test'", [
    mark.toLowerCase(),
  ]);
  await admin.query("UPDATE public.documents SET original_name = $1, extracted_text = $1", [mark]);
  await admin.query("UPDATE public.user_profiles SET language = $1, timezone = $1", [mark]);
  const list = JSON.stringify({ fhir_integration: [listed] });
  await stack.must(["config", "set", "--secret", "guardian:allowList", list]);
}

/** Puts in user_profiles' place a view that quotes its rows in an error. @returns what puts the table back */
export async function quoteRows(admin: Client): Promise<() => Promise<void>> {
  await admin.query(
    `ALTER TABLE public.user_profiles RENAME TO profiles;
     CREATE FUNCTION public.quote_row(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'row of %', $1; END $$;
     CREATE VIEW public.user_profiles AS SELECT user_id, public.quote_row(language) AS language, timezone FROM public.profiles;
     GRANT SELECT ON public.user_profiles TO guardian_migrator`,
  );
  return async () => {
    await admin.query(
      "DROP VIEW public.user_profiles; DROP FUNCTION public.quote_row(text); ALTER TABLE public.profiles RENAME TO user_profiles",
    );
  };
}

/** Looks for every mark, and for passwords, in all that a stack printed and keeps, in the ledger, the session and the audit. */
export async function expectNoMarks(stack: TestStack, client: Client, db: V6): Promise<void> {
  const files = filesUnder(stack.folder).map((file) => readFileSync(file, "latin1"));
  const sessions = ["migration_sessions", "migration_session_steps", "audit_log"];
  const texts = [...stack.lines, ...files, await rowsOf(client, "public", sessions)];
  const ledger = await rowsOf(client, "guardian_migration");
  const first = (found: string[]): string[] => found.map((text) => text.slice(0, 80));
  for (const secret of [mark, mark.toLowerCase(), db.migrator.password, (await server()).password])
    expect(first([...texts, ledger].filter((text) => text.includes(secret)))).to.deep.equal([]);
  expect(first(texts.filter((text) => text.includes(listed)))).to.deep.equal([]);
  // The state's files were among them, and the ledger was read.
  expect(texts.filter((text) => text.includes('"ciphertext"'))).not.to.deep.equal([]);
  expect(ledger).to.contain(listed);
}

/** All files of a stack's folder but the rows in the backups' data files. */
function filesUnder(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true }) as string[];
  return entries
    .map((entry) => join(folder, entry))
    .filter((path) => statSync(path).isFile() && !/\/dump\/\d+\.dat/.test(path));
}

/** Every row of a schema's tables as text. */
async function rowsOf(client: Client, schema: string, only?: string[]): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = $1 AND ($2::text[] IS NULL OR tablename = ANY ($2))",
    [schema, only],
  );
  const texts: string[] = [];
  for (const { name } of rows) {
    const found = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${schema}.${name} t`);
    texts.push(...found.rows.map(({ row }) => row));
  }
  return texts.join("\n");
}
