import { expect } from "chai";
import type { Client } from "pg";
import { undescribed } from "../../scripts/verify-sql/facts";
import { long } from "../support/long";
import { withModules } from "../support/modules";
import { listed, modules, verifyOf } from "./every_module";

/** What is done to an object, as SQL for a superuser, and a part of verify.sql's message, which names it. */
type Defect = readonly [sql: string, named: string | RegExp];
type Kinds = Record<string, (object: string) => Defect[]>;

/** Defects of each object of a kind. */
const plant: Kinds = {
  table: (table) => [
    [`ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`, `not expected [${table}: NO row security]`],
    [`GRANT SELECT ON ${table} TO anon`, `not expected [${table}: anon may SELECT]`],
    [`GRANT TRUNCATE ON ${table} TO authenticated`, `not expected [${table}: authenticated may TRUNCATE]`],
    [
      `CREATE POLICY more ON ${table} FOR SELECT TO authenticated USING (true)`,
      `not expected [${table}: policy more for SELECT to authenticated using true]`,
    ],
  ],
  view: (view) => [
    [`ALTER VIEW ${view} RESET (security_invoker)`, `missing [${view}: security_invoker=true`],
    [`GRANT SELECT ON ${view} TO anon`, `not expected [${view}: anon may SELECT]`],
  ],
  function: (name) => [
    [
      `ALTER FUNCTION ${name} RESET search_path`,
      `not expected [${name}: ${definer(name) ? "definer" : "invoker"}, search_path NOT pinned]`,
    ],
    [`GRANT EXECUTE ON FUNCTION ${name} TO anon`, `not expected [${name}: anon may EXECUTE]`],
    [
      `UPDATE pg_proc SET prosecdef = NOT prosecdef WHERE oid = '${name}'::regprocedure`,
      `not expected [${name}: ${definer(name) ? "invoker" : "definer"}, pinned]`,
    ],
  ],
  trigger: (trigger) => {
    const [name = "", table = ""] = trigger.split(" on ");
    const other = `CASE tgfoid WHEN 'public.set_updated_at()'::regprocedure THEN 'public.refuse_change()' ELSE 'public.set_updated_at()' END::regprocedure`;
    return [
      [
        `ALTER TABLE ${table} DISABLE TRIGGER ${name}`,
        RegExp(`\\[${table}: trigger ${name}(\\]| calls [^\\]]*DISABLED)`),
      ],
      [`DROP TRIGGER ${name} ON ${table}`, `missing [definition of ${trigger}: `],
      [
        `UPDATE pg_trigger SET tgfoid = ${other} WHERE tgname = '${name}' AND tgrelid = '${table}'::regclass`,
        `missing [definition of ${trigger}: `,
      ],
    ];
  },
  policy: (policy) => [[`ALTER POLICY ${policy.replace(" on ", " ON ")} TO PUBLIC`, policyOf(policy)]],
  index: (index) => [[`DROP INDEX ${index}`, `index ${index}]`]],
};

/** What only a comparison of definitions sees: something else in the place of the same name. */
const replace: Kinds = {
  table: (table) => [
    [`ALTER TABLE ${table} ADD planted integer`, `missing [definition of ${table}: `],
    [
      `DO $$ DECLARE c record; BEGIN
       SELECT conname, pg_get_constraintdef(oid) AS def INTO c FROM pg_constraint WHERE contype IN ('c', 'p') AND conrelid = '${table}'::regclass
       ORDER BY contype LIMIT 1;
       EXECUTE format('ALTER TABLE ${table} DROP CONSTRAINT %I CASCADE, ADD CONSTRAINT %1$I CHECK (true)', c.conname); END $$`,
      `missing [definition of ${table}: `,
    ],
  ],
  view: (view) => [
    [
      `UPDATE pg_rewrite SET ev_action = (SELECT ev_action FROM pg_rewrite WHERE ev_class = 'public.planted'::regclass) WHERE ev_class = '${view}'::regclass`,
      `missing [definition of ${view}: `,
    ],
  ],
  function: (name) => [
    [
      `UPDATE pg_proc SET prosrc = prosrc || ' ' WHERE oid = '${name}'::regprocedure`,
      `missing [definition of ${name}: `,
    ],
  ],
  trigger: (trigger) => {
    const [name = "", table = ""] = trigger.split(" on ");
    return [
      [
        `UPDATE pg_trigger SET tgtype = tgtype # 8 WHERE tgname = '${name}' AND tgrelid = '${table}'::regclass`,
        `missing [definition of ${trigger}: `,
      ],
    ];
  },
};

const facts = modules.map(verifyOf).join("");
const definer = (name: string): boolean => facts.includes(`'${name}: definer, pinned'`);

/** The fact on a policy, up to whom it is for. */
function policyOf(policy: string): string {
  const [name = "", table = ""] = policy.split(" on ");
  return `missing [${table}: policy ${name} for `;
}

/** The policies of a module that say more than true, opened to every row. */
async function opened(client: Client, name: string): Promise<Defect[]> {
  const { rows } = await client.query<{ policy: string; line: string }>(
    `SELECT polname || ' on public.' || relname AS policy, format('ALTER POLICY %I ON %s%s%s', polname, polrelid::regclass,
       CASE WHEN polqual IS NOT NULL THEN ' USING (true)' END, CASE WHEN polwithcheck IS NOT NULL THEN ' WITH CHECK (true)' END) AS line
     FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE polname || ' on public.' || relname = ANY ($1)
       AND coalesce(pg_get_expr(polqual, polrelid) <> 'true', pg_get_expr(polwithcheck, polrelid) <> 'true')`,
    [listed("policy", [name])],
  );
  return rows.map(({ policy, line }) => [line, policyOf(policy)]);
}

/**
 * Plants a batch of defects, no two of them in one object, and lets the module's verify.sql name them all.
 * @returns those that it does not name, with the code of its refusal; every one where that is not GM001
 */
async function unseen(client: Client, name: string, batches: readonly Defect[][]): Promise<string[]> {
  const found: string[] = [];
  const verify = verifyOf(name);
  await client.query("BEGIN");
  await client.query(verify); // nothing is amiss before
  for (const batch of batches) {
    await client.query("SAVEPOINT planted");
    for (const [sql] of batch) await client.query(sql);
    const { code, message } = await client.query(verify).then(
      () => ({ code: "nothing", message: "" }),
      (err: unknown) => err as { code: string; message: string },
    );
    const says = (named: string | RegExp): boolean =>
      named instanceof RegExp ? named.test(message) : message.includes(named);
    const missed = batch.filter(([, named]) => code !== "GM001" || !says(named));
    found.push(...missed.map(([sql, named]) => `${sql}: ${code}, not ${String(named)}`));
    await client.query("ROLLBACK TO planted");
  }
  await client.query("ROLLBACK");
  return found;
}

/**
 * The first defect of every object of a kind, then the second, and so on. Triggers on tables of other modules are apart:
 * what verify.sql says of them, it says only if nothing else is amiss.
 */
function batchesOf(name: string, kinds: Kinds): Defect[][] {
  const tables = listed("table", [name]);
  const strange = (object: string): boolean => / on /.test(object) && !tables.includes(object.split(" on ")[1] ?? "");
  return Object.entries(kinds).flatMap(([kind, make]) => {
    const objects = listed(kind, [name]);
    return [objects.filter((object) => !strange(object)), objects.filter(strange)].flatMap((some) => {
      const all = some.map(make);
      return (all[0] ?? []).map((_, nth) => all.flatMap((defects) => defects.slice(nth, nth + 1)));
    });
  });
}

describe("verify.sql of every module", function () {
  this.timeout(300_000);

  long(
    "sees each object without its guard: row security, rights, policies, triggers, search_path, indexes",
    async () => {
      await withModules(modules, async (_, db) => {
        const admin = await db.connect("admin");
        for (const name of modules) {
          const batches = [...batchesOf(name, plant), await opened(admin, name)].filter((batch) => batch.length > 0);
          expect(batches.flat().length, name).to.be.above(10);
          expect(await unseen(admin, name, batches), name).to.deep.equal([]);
        }
      });
    },
  );

  long(
    "sees another body, column, check, view or trigger under the same name; of 003 another body or trigger",
    async () => {
      const kindsOf = (name: string): string[] =>
        ["table", "view", "function", "trigger"].slice(undescribed.includes(name) ? 2 : 0);
      expect(undescribed).to.deep.equal(["003_fhir_integration"]);
      for (const name of modules) {
        const compared = [...verifyOf(name).matchAll(/'definition of (.*): [0-9a-f]{8}'/g)].map(([, object]) => object);
        const all = kindsOf(name).flatMap((kind) => listed(kind, [name]));
        expect(compared.sort(), name).to.deep.equal(all.sort());
      }
      await withModules(modules, async (_, db) => {
        const admin = await db.connect("admin");
        await admin.query("CREATE VIEW public.planted AS SELECT 1 AS one");
        for (const name of modules) {
          const kinds = Object.fromEntries(Object.entries(replace).filter(([kind]) => kindsOf(name).includes(kind)));
          expect(await unseen(admin, name, batchesOf(name, kinds)), name).to.deep.equal([]);
        }
      });
    },
  );
});
