import { expect } from "chai";
import type { Client } from "pg";
import { withModules } from "../support/modules";
import { lines, listed, modules, verifyOf } from "./every_module";

/** Modules whose verify.sql compares what their objects do, and not only what they are called. */
const defined = modules.filter((name) => verifyOf(name).includes("'definition of "));

/** One defect for each object of a kind: SQL, for a superuser. */
const plant: Record<string, (object: string) => string[]> = {
  table: (table) => [
    `ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`,
    `GRANT SELECT ON ${table} TO anon`,
    `GRANT TRUNCATE ON ${table} TO authenticated`,
    `CREATE POLICY more ON ${table} FOR SELECT TO authenticated USING (true)`,
  ],
  view: (view) => [`ALTER VIEW ${view} RESET (security_invoker)`, `GRANT SELECT ON ${view} TO anon`],
  function: (name) => [
    `ALTER FUNCTION ${name} RESET search_path`,
    `GRANT EXECUTE ON FUNCTION ${name} TO anon`,
    `UPDATE pg_proc SET prosecdef = NOT prosecdef WHERE oid = '${name}'::regprocedure`,
  ],
  trigger: (trigger) => {
    const [name = "", table = ""] = trigger.split(" on ");
    const other = `CASE tgfoid WHEN 'public.set_updated_at()'::regprocedure THEN 'public.refuse_change()' ELSE 'public.set_updated_at()' END::regprocedure`;
    return [
      `ALTER TABLE ${table} DISABLE TRIGGER ${name}`,
      `DROP TRIGGER ${name} ON ${table}`,
      `UPDATE pg_trigger SET tgfoid = ${other} WHERE tgname = '${name}' AND tgrelid = '${table}'::regclass`,
    ];
  },
  policy: (policy) => [`ALTER POLICY ${policy.replace(" on ", " ON ")} TO PUBLIC`],
  index: (index) => [`DROP INDEX ${index}`],
};

/** What only a comparison of definitions sees: something else in the place of the same name. */
const replace: Record<string, (object: string) => string[]> = {
  table: (table) => [
    `ALTER TABLE ${table} ADD planted integer`,
    `DO $$ DECLARE c record; BEGIN
       SELECT conname, pg_get_constraintdef(oid) AS def INTO c FROM pg_constraint WHERE contype IN ('c', 'p') AND conrelid = '${table}'::regclass
       ORDER BY contype LIMIT 1;
       EXECUTE format('ALTER TABLE ${table} DROP CONSTRAINT %I CASCADE, ADD CONSTRAINT %1$I CHECK (true)', c.conname); END $$`,
  ],
  view: (view) => [
    `UPDATE pg_rewrite SET ev_action = (SELECT ev_action FROM pg_rewrite WHERE ev_class = 'public.planted'::regclass) WHERE ev_class = '${view}'::regclass`,
  ],
  function: (name) => [`UPDATE pg_proc SET prosrc = prosrc || ' ' WHERE oid = '${name}'::regprocedure`],
  trigger: (trigger) => {
    const [name = "", table = ""] = trigger.split(" on ");
    return [`UPDATE pg_trigger SET tgtype = tgtype # 8 WHERE tgname = '${name}' AND tgrelid = '${table}'::regclass`];
  },
};

/** The policies of a module that say more than true, opened to every row. */
const opened = (client: Client, name: string): Promise<string[]> =>
  lines(
    client,
    `SELECT format('ALTER POLICY %I ON %s%s%s', polname, polrelid::regclass, CASE WHEN polqual IS NOT NULL THEN ' USING (true)' END,
       CASE WHEN polwithcheck IS NOT NULL THEN ' WITH CHECK (true)' END) AS line
     FROM pg_policy WHERE polname || ' on public.' || (SELECT relname FROM pg_class WHERE oid = polrelid) = ANY ($1)
       AND coalesce(pg_get_expr(polqual, polrelid) <> 'true', pg_get_expr(polwithcheck, polrelid) <> 'true')`,
    [listed("policy", [name])],
  );

/** @returns those of the defects after which the module's verify.sql finds nothing, or fails otherwise than by GM001 */
async function unseen(client: Client, name: string, defects: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const verify = verifyOf(name);
  await client.query("BEGIN");
  await client.query(verify); // nothing is amiss before
  for (const sql of defects) {
    await client.query("SAVEPOINT planted");
    await client.query(sql);
    const code = await client.query(verify).then(
      () => "nothing",
      (err: unknown) => (err as { code: string }).code,
    );
    if (code !== "GM001") found.push(`${sql}: ${code}`);
    await client.query("ROLLBACK TO planted");
  }
  await client.query("ROLLBACK");
  return found;
}

const defectsOf = (name: string, kinds: Record<string, (object: string) => string[]>): string[] =>
  Object.entries(kinds).flatMap(([kind, make]) => listed(kind, [name]).flatMap(make));

describe("verify.sql of every module", function () {
  this.timeout(300_000);

  it("sees each object without its guard: row security, rights, policies, triggers, search_path, indexes", async () => {
    await withModules(modules, async (_, db) => {
      const admin = await db.connect("admin");
      for (const name of modules) {
        const defects = [...defectsOf(name, plant), ...(await opened(admin, name))];
        expect(defects.length, name).to.be.above(10);
        expect(await unseen(admin, name, defects), name).to.deep.equal([]);
      }
    });
  });

  it("sees another body, column, check, view or trigger under the same name, where it compares definitions", async () => {
    expect(defined).to.include.members(modules.filter((name) => /^00[46789]/.test(name)));
    for (const name of defined) {
      const all = ["table", "view", "function", "trigger"].flatMap((kind) => listed(kind, [name]));
      const compared = [
        ...verifyOf(name)
          .replaceAll(/'\n\s*'/g, "")
          .matchAll(/'definition of (.*): [0-9a-f]{8}'/g),
      ];
      expect(compared.map(([, object]) => object).sort(), name).to.deep.equal(all.sort());
    }
    await withModules(modules, async (_, db) => {
      const admin = await db.connect("admin");
      await admin.query("CREATE VIEW public.planted AS SELECT 1 AS one");
      for (const name of defined) expect(await unseen(admin, name, defectsOf(name, replace)), name).to.deep.equal([]);
    });
  });
});
