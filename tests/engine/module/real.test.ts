import { expect } from "chai";
import { closeLedger } from "../../../engine/purge";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import { moveRows } from "../../../engine/migrate";
import { loadModule, moduleNames } from "../../../engine/module/files/manifest";
import { restoreOrder } from "../../../engine/module/archive/waiting";
import { long } from "../../support/long";
import { asRole } from "../../support/postgres";
import { catalogue } from "../../support/modules";
import { column, withEngine, withAdmin } from "./harness";

const parameters = { mode: "assumed", legalBasis: "consent", statement: "s" };

describe("the modules of sql/, by the engine", function () {
  this.timeout(120_000);

  /** 16-7: what a database may set, and what changes how the catalogue writes definitions or what SQL means. */
  const odd = { quote_all_identifiers: "on", transform_null_equals: "on", array_nulls: "off", xmloption: "document" };

  // every_module.test.ts has them up, down and up again, but for how long v6 may be locked and what a database may set.
  long(
    "go up, down and up again under the locks' real times, and leave nothing; 16-7: whatever the database sets",
    () =>
      withAdmin(
        async (engine, admin, db) => {
          const before = await catalogue(admin);
          for (let life = 0; life < 2; life++) {
            if (life === 1)
              for (const [name, value] of Object.entries(odd))
                await admin.query(`ALTER DATABASE ${db.name} SET ${name} = '${value}'`);
            await engine.applyReal(...moduleNames());
            const applied = await catalogue(admin);
            if (life === 0) expect(applied.length).to.be.above(before.length + 100);
            for (const name of moduleNames().reverse()) await engine.undo(name);
            // What a module's own functions wrote while it was made may wait in the archive.
            const left = (await catalogue(admin)).filter((line) => !line.includes("guardian_archive"));
            expect(left).to.deep.equal(before.filter((line) => !line.includes("guardian_archive")));
          }
          await engine.write("Ledger", "ledger", (fenced) => closeLedger(fenced, true));
        },
        { parameters: { lockTimeout: 50, lockHold: 1000 } },
      ),
  );

  long("bring all rows back, and those of a person who was deleted meanwhile are nowhere but in the audit", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      const modules = await Promise.all(moduleNames().map((name) => loadModule(name)));
      const archive = modules.flatMap((module) => module.archive);
      const audit = archive.filter((entry) => entry.subject === undefined).map((entry) => entry.table);
      await engine.applyReal(...moduleNames());
      for (const name of ["consents", "preferences"]) {
        const migration = await loadMigration(name);
        await engine.write("DataMigration", name, (fenced) => moveRows(fenced, migration, parameters));
      }
      const [person, friend] = await column<string>(
        client,
        "SELECT patient_id FROM public.patient_consents ORDER BY created_at LIMIT 2",
      );
      // What v7 collects: consents, preferences and requests of their own, each with its trail.
      for (const user of [person!, friend!]) {
        await asRole(admin, "authenticated", user, async (c) => {
          await c.query("SELECT public.grant_patient_consent($1, 'research_participation', 'study', $2)", [
            user,
            user === person ? friend : person,
          ]);
          await c.query("INSERT INTO public.user_consent_preferences (user_id) VALUES ($1)", [user]);
          await c.query(
            "UPDATE public.user_preferences SET theme = 'dark', default_sharing_level = 'family' WHERE user_id = $1",
            [user],
          );
          await c.query(
            "SELECT public.revoke_patient_consent(id, 'mine') FROM public.patient_consents WHERE patient_id = $1 AND consent_type = 'data_sharing'",
            [user],
          );
        });
      }
      const count = async (tables: readonly string[]): Promise<Record<string, string>> => {
        const found: Record<string, string> = {};
        for (const table of tables) found[table] = (await column<string>(admin, `SELECT count(*) FROM ${table}`))[0]!;
        return found;
      };
      const content = async (): Promise<Record<string, unknown>> => {
        const found: Record<string, unknown> = {};
        for (const { table, subject } of archive) {
          // Of the person's rows, and of rows that name him as an actor, other things are to be expected.
          const [hash] = await column(
            admin,
            `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM ${table} t
                 ${subject === undefined ? "" : `WHERE t.${subject} IS DISTINCT FROM '${person!}' AND position('${person!}' IN t::text) = 0`}`,
          );
          found[table] = hash;
        }
        return found;
      };
      const before = await content();
      expect(Object.values(before).filter((hash) => hash !== "0 0").length).to.be.above(4);
      const trail = await count(audit);
      for (const name of moduleNames().reverse()) await engine.undo(name);
      await admin.query("DELETE FROM auth.users WHERE id = $1", [person]);
      const mentions = `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname IN ('public', 'auth', 'guardian_archive')
              AND (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I t WHERE position(%L IN t::text) > 0', n.nspname, c.relname, $1::text), false, true, '')))[1]::text <> '0'`;
      const waiting = await column<string>(
        client,
        "SELECT original FROM guardian_migration.archived WHERE original <> ALL ($1)",
        [audit],
      );
      expect(waiting).to.include.members([
        "public.patient_consents",
        "public.user_preferences",
        "public.user_consent_preferences",
      ]);
      const left = (await column<string>(admin, mentions, [person])).map((name) =>
        name.replace(/^guardian_archive\.(.*)__\d+$/, "public.$1"),
      );
      // As a recipient he is named in the other's consent; the trail keeps him as the one who acted.
      expect(left.filter((name) => !audit.includes(name) && name !== "public.patient_consents")).to.deep.equal([]);
      expect(
        await column(
          admin,
          "SELECT count(*) FROM guardian_archive.patient_consents__" +
            (
              await column<string>(
                client,
                "SELECT apply_id FROM guardian_migration.archived WHERE original = 'public.patient_consents'",
              )
            )[0]! +
            " WHERE patient_id = $1",
          [person],
        ),
      ).to.deep.equal(["0"]);
      await engine.applyReal(...moduleNames());
      expect(await content()).to.deep.equal(before);
      expect(await count(audit)).to.deep.equal(trail);
      expect(
        await column(
          client,
          "SELECT count(*) FROM guardian_migration.archived WHERE restored_at IS NULL OR restored + beaten + left_out <> rows OR beaten > 0",
        ),
      ).to.deep.equal(["0"]);
      expect(
        await column(client, "SELECT relname FROM pg_class WHERE relnamespace = 'guardian_archive'::regnamespace"),
      ).to.deep.equal([]);
    }),
  );

  it("have no archived tables that refer to each other in a circle", () =>
    withEngine(async (engine) => {
      await engine.applyReal(...moduleNames());
      for (const name of moduleNames()) {
        const { archive } = await loadModule(name);
        const tables = archive.map((entry) => entry.table);
        expect(await engine.host.read((db) => restoreOrder(db, tables)), name).to.have.members(tables);
      }
    }));
});
