import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { allPages, formatted, stale } from "../../scripts/docs";
import { addSpecimens, examine, tryModules, type Findings } from "../../scripts/docs/generate";
import { acts, actors } from "../../scripts/docs/matrix";
import type { Permitted } from "../../engine/gates/security/permitted";
import { loadModule, moduleNames } from "../../engine/module/files/manifest";
import { withFolder } from "../support/folder";
import { long } from "../support/long";
import { withModules } from "../support/modules";
import type { V6 } from "../support/postgres";

const docs = join(__dirname, "..", "..", "docs");

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

describe("what `npm run docs` reads off a migrated database", function () {
  this.timeout(120_000);
  let found: Findings;
  let columns: Map<string, string[]>;
  let pages: Map<string, string>;
  before(() =>
    // The database that other tests begin from too.
    withModules(moduleNames(), async (_, db) => {
      found = await examine(db, await Promise.all(moduleNames().map((name) => loadModule(name))));
      columns = await columnsOf(db);
      pages = allPages(found.pages);
    }),
  );

  describe("who may do what", () => {
    it("19-6 what the gate `permissions` holds rights against is what the page says, cell by cell", () => {
      const text = found.pages.get("../sql/permissions.json") ?? "";
      const given = JSON.parse(text) as Permitted;
      const wrong: string[] = [];
      const hold = (object: string, actor: string, privilege: string, tried: boolean): void => {
        const role = actors.find(({ name }) => name === actor)?.role ?? "";
        const may = [role, "PUBLIC"].some((who) => given[object]?.[who]?.[privilege] !== undefined);
        if (may !== tried)
          wrong.push(`${actor} ${privilege} ${object}: ${may ? "given" : "not given"}, tried otherwise`);
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
      const file = readFileSync(join(docs, "permissions.md"), "utf8");
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
      expect(users.map((name) => matrix.tables.get("public.patient_consents")?.get(name)?.outcomes.read)).to.deep.equal(
        ["yes", "row", "row"],
      );
      // The recipient of a consent learns of it by a function, not from the patient's row.
      expect(users.map((name) => matrix.functions.get("public.consents_to_me()")?.get(name))).to.deep.equal(
        users.map((name) => (name === "provider" ? "yes" : "row")),
      );
    });

    long("sees each planted defect", async () => {
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
          const named = modules.filter(({ objects }) =>
            objects.some((object) => breach.includes(object.split(" ")[1]!)),
          );
          const now = breaches({ keys, matrix: await tryModules(admin, named) }, await columnsOf(db));
          expect(now, sql).to.include(breach);
        }
      });
    });
  });

  describe("docs/", () => {
    // How it is laid out takes a third of the time to make: prettier looks at that, and scripts/generated.slow.test.ts.
    it("is what `npm run docs` makes, but for spaces and the dashes of tables", () => {
      const bare = (text: string): string => text.replace(/\s+/g, "").replace(/-{3,}/g, "---");
      const there = [...pages].map(([path, text]) => {
        const file = join(docs, path);
        const found = existsSync(file) ? readFileSync(file, "utf8") : "";
        return [path, bare(found) === bare(text) ? found : text] as const;
      });
      expect(stale(new Map(there)), "run `npm run docs`").to.deep.equal([]);
    });

    it("is stale when a page differs, is missing or is of no module any more", () => {
      return withFolder((folder) => {
        for (const [path, text] of pages) {
          mkdirSync(dirname(join(folder, "docs", path)), { recursive: true });
          writeFileSync(join(folder, "docs", path), text);
        }
        const made = join(folder, "docs");
        expect(stale(pages, made)).to.deep.equal([]);
        writeFileSync(join(made, "v7/000_audit_log.md"), "x");
        writeFileSync(join(made, "v7/099_gone.md"), "x");
        rmSync(join(made, "permissions.md"));
        expect(stale(pages, made)).to.deep.equal(["permissions.md", "v7/000_audit_log.md", "v7/099_gone.md"]);
      });
    });

    it("has a page a module, with every table, column, view and function, and a comment for each of these but columns", () => {
      const modules = [...pages.keys()].filter((path) => /^v7\/\d/.test(path));
      expect(modules).to.include("v7/000_audit_log.md").and.include("v7/009_operations.md");
      for (const path of modules) {
        const page = pages.get(path) ?? "";
        const headings = page
          .split("\n")
          .flatMap((line, i, all) => (line.startsWith("### ") ? [all.slice(i, i + 5).join("\n")] : []));
        expect(headings, path).to.have.length.above(0);
        for (const heading of headings) expect(heading, path).to.match(/^### [\w.]+\n\n(`.*`.*\n\n)?\S.{15,}/);
      }
      expect(pages.get("v7/005_user_preferences.md")).to.contain("BCP 47 language tag");
    });

    it("says what becomes of every row when an account is deleted", () => {
      const page = pages.get("v7/README.md") ?? "";
      expect(page).to.match(/`patient_consents` +\| `patient_id` +\| `auth.users` +\| CASCADE +\| person/);
      expect(page).to.match(/`patient_consents` +\| `created_by` +\| `auth.users` +\| SET NULL +\| actor/);
      expect(page).to.match(/Without a key to an account or a document: .*`audit_log`/);
    });

    it("names no folder of this machine and nothing outside the repository", () => {
      for (const [path, text] of pages) expect(text, path).not.to.match(/\/(work|tmp|root|home)\/|shared\//);
    });
  });
});
