import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { formatted } from "../../scripts/docs";
import { addSpecimens, examine, tryModules, type Findings } from "../../scripts/docs/generate";
import { acts, actors } from "../../scripts/docs/matrix";
import type { Permitted } from "../../engine/gates/security/permitted";
import { withModules } from "../support/modules";
import { withV6, type V6 } from "../support/postgres";

const users = actors.filter((actor) => actor.role === "authenticated").map((actor) => actor.name);
const writes = ["insert", "update", "delete"] as const;

/** Columns that hold what opens another system's door, or an account. */
const secret = /secret|password|(access|refresh|verification|id)_token$|auth_config|private_key/;

/** What anybody may execute, and why: a trigger's WHEN is evaluated as whoever writes. */
const forEverybody = ["public.is_ledger_batch(regclass)"];

/** Trails that the server side writes itself; all others have one writer in the database. */
const appended = ["public.fhir_api_audit"];

/** What must hold whatever docs/permissions.md says: each breach in words. */
function breaches({ keys, matrix }: Pick<Findings, "keys" | "matrix">, columns: Map<string, string[]>): string[] {
  const personal = new Set(
    keys.filter((key) => key.target === "auth.users" && key.action === "CASCADE").map((key) => key.table),
  );
  const found: string[] = [];
  for (const [table, byActor] of matrix.tables) {
    for (const [actor, { outcomes, hidden }] of byActor) {
      const say = (what: string): void => void found.push(`${actor} may ${what} ${table}`);
      const done = acts.filter((act) => outcomes[act] !== "no");
      if (actor === "anon" && done.length > 0) say(done.join(", "));
      if (outcomes.truncate !== "no") say("truncate");
      if (acts.some((act) => outcomes[act] === "broken")) say("half use");
      if (personal.has(table) && actor === "other user" && acts.some((act) => outcomes[act] === "yes")) say("reach");
      if (personal.has(table) && actor === "provider" && writes.some((act) => outcomes[act] === "yes")) say("write");
      const appends = appended.includes(table) && actor === "service_role" ? ["insert"] : [];
      if (/audit/.test(table) && writes.some((act) => outcomes[act] !== "no" && !appends.includes(act))) say("write");
      const shown = (columns.get(table) ?? []).filter((name) => secret.test(name) && !hidden.includes(name));
      if (outcomes.read !== "no" && shown.length > 0) say(`read ${shown.join(", ")} of`);
    }
  }
  for (const [name, byActor] of matrix.functions) {
    for (const [actor, outcome] of byActor) {
      if (outcome === "broken") found.push(`${actor} may call ${name}, which then lacks a right`);
      if (actor === "other user" && outcome === "yes" && name.includes("uuid"))
        found.push(`another user gets something from ${name}`);
      if (actor === "anon" && outcome !== "no" && !forEverybody.includes(name)) found.push(`anon may call ${name}`);
    }
  }
  return found.sort();
}

async function columnsOf(db: V6): Promise<Map<string, string[]>> {
  const admin = await db.connect("admin");
  const { rows } = await admin.query<{ name: string; columns: string[] }>(
    `SELECT table_schema || '.' || table_name AS name, array_agg(column_name::text) AS columns FROM information_schema.columns
     WHERE table_schema = 'public' GROUP BY 1`,
  );
  return new Map(rows.map(({ name, columns }) => [name, columns]));
}

/** The fixture of `npm run docs`. */
const withSmall = (test: (db: V6) => Promise<void>): Promise<void> => withV6(test, { users: 20 });

describe("who may do what", function () {
  this.timeout(120_000);
  let found: Findings;
  let columns: Map<string, string[]>;
  before(() =>
    withSmall(async (db) => {
      found = await examine(db);
      columns = await columnsOf(db);
    }),
  );

  it("19-6 what the gate `permissions` holds rights against is what the page says, cell by cell", () => {
    const text = found.pages.get("../sql/permissions.json") ?? "";
    const given = JSON.parse(text) as Permitted;
    const wrong: string[] = [];
    const hold = (object: string, actor: string, privilege: string, tried: boolean): void => {
      const role = actors.find(({ name }) => name === actor)?.role ?? "";
      const may = [role, "PUBLIC"].some((who) => given[object]?.[who]?.[privilege] !== undefined);
      if (may !== tried) wrong.push(`${actor} ${privilege} ${object}: ${may ? "given" : "not given"}, tried otherwise`);
    };
    for (const [table, byActor] of found.matrix.tables)
      for (const [actor, { outcomes }] of byActor)
        for (const act of acts)
          hold(table, actor, act === "read" ? "SELECT" : act.toUpperCase(), outcomes[act] !== "no");
    for (const [name, byActor] of found.matrix.functions)
      for (const [actor, outcome] of byActor) hold(name, actor, "EXECUTE", outcome !== "no");
    expect(wrong).to.deep.equal([]);
    expect(Object.keys(given)).to.have.length.above(100);
  });

  it("F-5 F-8 C-5 C-10: every cell is, on every PostgreSQL, as docs/permissions.md says, and the rules hold", async () => {
    expect(breaches(found, columns)).to.deep.equal([]);
    const page = await formatted(new Map([["permissions.md", found.pages.get("permissions.md") ?? ""]]));
    const file = readFileSync(join(__dirname, "..", "..", "docs", "permissions.md"), "utf8");
    expect(file, "stale: npm run docs").to.equal(page.get("permissions.md"));
  });

  it("tries everything that the modules list, with every actor", () => {
    const { modules, matrix } = found;
    const listed = modules
      .flatMap((module) => module.objects)
      .filter((object) => /^(table|view|function) /.test(object));
    const tried = [...[...matrix.tables].map(([name]) => name), ...[...matrix.functions].map(([name]) => name)];
    expect(tried.sort()).to.deep.equal(listed.map((object) => object.replace(/^\w+ /, "")).sort());
    for (const by of [...matrix.tables.values(), ...matrix.functions.values()]) {
      expect([...by.keys()]).to.deep.equal(actors.map((actor) => actor.name));
    }
    // The matrix is no list of noes: what users are meant to do was done.
    expect(matrix.tables.get("public.user_preferences")?.get("owner")?.outcomes).to.deep.equal({
      read: "yes",
      insert: "yes",
      update: "yes",
      delete: "no",
      truncate: "no",
    });
    expect(users.map((name) => matrix.tables.get("public.patient_consents")?.get(name)?.outcomes.read)).to.deep.equal([
      "yes",
      "row",
      "row",
    ]);
    // The recipient of a consent learns of it by a function, not from the patient's row.
    expect(users.map((name) => matrix.functions.get("public.consents_to_me()")?.get(name))).to.deep.equal(
      users.map((name) => (name === "provider" ? "yes" : "row")),
    );
  });

  it("sees each planted defect", async () => {
    const defects: Record<string, string> = {
      "GRANT SELECT ON public.user_preferences TO anon": "anon may read public.user_preferences",
      "GRANT TRUNCATE ON public.patient_consent_audit TO authenticated":
        "owner may truncate public.patient_consent_audit",
      "GRANT UPDATE ON public.audit_log TO service_role": "service_role may write public.audit_log",
      "CREATE POLICY open ON public.user_preferences FOR SELECT TO authenticated USING (true)":
        "other user may reach public.user_preferences",
      "ALTER TABLE public.user_consent_preferences DISABLE ROW LEVEL SECURITY":
        "provider may write public.user_consent_preferences",
      "ALTER TABLE public.user_preferences ADD access_token text":
        "service_role may read access_token of public.user_preferences",
      "GRANT EXECUTE ON FUNCTION public.get_user_preferences(uuid) TO anon":
        "anon may call public.get_user_preferences(uuid)",
      "CREATE OR REPLACE FUNCTION public.caller_is_trusted() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'":
        "another user gets something from public.get_user_preferences(uuid)",
      "ALTER FUNCTION public.my_feature_flags() SECURITY INVOKER":
        "owner may call public.my_feature_flags(), which then lacks a right",
    };
    const { keys } = found;
    const modules = found.modules.filter((module) => /^00[0145]/.test(module.name));
    const names = modules.map(({ name }) => name);
    await withModules(names, async (_, db) => {
      const admin = await db.connect("admin");
      await admin.query("SET search_path = ''");
      await addSpecimens(admin, modules);
      for (const [sql, breach] of Object.entries(defects)) {
        await admin.query(sql);
        const named = modules.filter(({ objects }) => objects.some((object) => breach.includes(object.split(" ")[1]!)));
        const now = breaches({ keys, matrix: await tryModules(admin, named) }, await columnsOf(db));
        expect(now, sql).to.include(breach);
      }
    });
  });
});
