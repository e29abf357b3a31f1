import { expect } from "chai";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { server } from "../support/postgres";
import { story } from "../support/story";

/** Marks that no output, state or ledger may hold: each stands for a value of a row, or a password. */
const mark = "MARKED-4711";

describe("no password and no row value leaves the database", function () {
  this.timeout(600_000);

  it("not in state, output, errors, manifest or ledger: seeded values are looked for everywhere", function () {
    return story(async ({ stack, db, client }) => {
      const admin = await db.connect("admin");
      await admin.query("UPDATE auth.users SET email = 'a' || substr(id::text, 1, 8) || $1 || '@x.test'", [
        mark.toLowerCase(),
      ]);
      await admin.query(`UPDATE public.documents SET original_name = $1, extracted_text = $1`, [mark]);
      await admin.query(`UPDATE public.user_profiles SET language = $1, timezone = $1`, [mark]);
      const texts: string[] = [];
      const user = "11111111-2222-4333-8444-555555555555";
      const listed = JSON.stringify({ fhir_integration: [user] });
      await stack.must(["config", "set", "--secret", "guardian:allowList", listed]);
      // A failure in the middle: what quotes rows itself is backup-failures.test.ts's and module/secrets.test.ts's.
      stack.set({ through: "schema" });
      await stack.up();
      stack.set({ through: "deployment" });
      await admin.query(
        `ALTER TABLE public.user_profiles RENAME TO profiles;
         CREATE FUNCTION public.quote_row(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'row of %', $1; END $$;
         CREATE VIEW public.user_profiles AS SELECT user_id, public.quote_row(language) AS language, timezone FROM public.profiles;
         GRANT SELECT ON public.user_profiles, public.profiles TO guardian_migrator`,
      );
      const failed = await stack.up({ expectFailure: true });
      // A view takes no row trigger (42809), which is said before any row is read; what reads one withholds it.
      expect(failed.output).to.match(/withheld \(SQLSTATE P0001\)|\(SQLSTATE 42809\)/);
      await admin.query(
        "DROP VIEW public.user_profiles; DROP FUNCTION public.quote_row(text); ALTER TABLE public.profiles RENAME TO user_profiles",
      );
      await stack.up();

      texts.push(...stack.lines);
      for (const file of filesUnder(stack.folder)) texts.push(readFileSync(file, "latin1"));
      texts.push(await everything(client, "guardian_migration"));
      texts.push(await everything(client, "public", ["migration_sessions", "migration_session_steps", "audit_log"]));
      const passwords = [db.migrator.password, (await server()).password];
      for (const secret of [mark, mark.toLowerCase(), ...passwords]) {
        expect(texts.filter((text) => text.includes(secret)).map((text) => text.slice(0, 80))).to.deep.equal([]);
      }
      // Who is on a flag's list stands in the database, in the flag's row and the ledger, and nowhere else in clear.
      const outside = texts.filter((text) => text.includes(user) && !text.startsWith("schema guardian_migration"));
      expect(outside.map((text) => text.slice(0, 80))).to.deep.equal([]);
      // The state's files were among them.
      expect(texts.filter((text) => text.includes('"ciphertext"'))).not.to.deep.equal([]);
    });
  });
});

/** All files of a stack's folder but the rows in the backups' data files. */
function filesUnder(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true }) as string[];
  return entries
    .map((entry) => join(folder, entry))
    .filter((path) => statSync(path).isFile() && !/\/dump\/\d+\.dat/.test(path));
}

/** Every row of a schema's tables as text. */
async function everything(
  client: { query: (sql: string, values?: unknown[]) => Promise<{ rows: { name?: string; row?: string }[] }> },
  schema: string,
  only?: string[],
): Promise<string> {
  const { rows } = await client.query("SELECT tablename AS name FROM pg_tables WHERE schemaname = $1", [schema]);
  const texts: string[] = [`schema ${schema}`];
  for (const { name } of rows) {
    if (only && !only.includes(name ?? "")) continue;
    const found = await client.query(`SELECT t::text AS row FROM ${schema}."${name ?? ""}" t`);
    texts.push(...found.rows.map((row) => row.row ?? ""));
  }
  return texts.join("\n");
}
