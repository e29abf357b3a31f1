import { expect } from "chai";
import { loadModule } from "../../../engine/module/files/manifest";
import { remainingText } from "../../../resources/sentences";
import { asRole } from "../../support/postgres";
import { column, moduleOf, type Files, withAdmin, withMigrator } from "./harness";
import { archived, counts, meanwhile, rejects, standing } from "./restored";

/** Settings of a person, each with the setting that it was made from. */
const settings = (also = "", tables = "public.t"): Files => ({
  yaml: `objects:\n  table: [${tables}]\narchive:\n  - { table: public.t, subject: none }\n`,
  up: `CREATE TABLE public.t (id int PRIMARY KEY, theme text NOT NULL DEFAULT 'system', tags text[] DEFAULT '{}', parent int REFERENCES public.t,
      until timestamptz DEFAULT 'infinity', created_at timestamptz NOT NULL DEFAULT now());
    ALTER TABLE public.t DROP CONSTRAINT t_parent_fkey; ${also}`,
});
const rowsOf = "SELECT concat_ws(' ', id, theme, tags, created_at < '2021-01-01') FROM public.t ORDER BY id";

describe("archived rows for which a live one is there", function () {
  this.timeout(120_000);

  it("16-15: a patient's preferences come back in the place of the row that a mere read made meanwhile", () =>
    withAdmin(
      async (engine, admin, db) => {
        const [me] = await column<string>(admin, "SELECT id FROM auth.users ORDER BY id LIMIT 1");
        await admin.query(
          "INSERT INTO public.user_preferences (user_id, theme, hide_sensitive_conditions) VALUES ($1, 'dark', '{hiv}')",
          [me],
        );
        await engine.undo("005_user_preferences");
        const read = "SELECT public.get_user_preferences($1) ->> 'theme'";
        const seen: string[] = [];
        const done = await meanwhile(engine, db, await loadModule("005_user_preferences"), () =>
          asRole(admin, "authenticated", me!, async (client) => {
            seen.push(...(await column<string>(client, read, [me])));
          }),
        );
        expect(seen).to.deep.equal(["system"]);
        expect(
          await column(admin, "SELECT theme || hide_sensitive_conditions::text FROM public.user_preferences"),
        ).to.deep.equal(["dark{hiv}"]);
        expect([done.restored, done.refused]).to.deep.equal([1n, []]);
        expect(await column(admin, standing)).to.deep.equal([]);
      },
      { modules: ["000_audit_log", "005_user_preferences"] },
    ));

  it("16-15: a consent that was granted, with its evidence, is not lost to a request that came meanwhile", () =>
    withAdmin(
      async (engine, admin, db) => {
        const [me] = await column<string>(admin, "SELECT id FROM auth.users ORDER BY id LIMIT 1");
        await asRole(admin, "authenticated", me!, (client) =>
          client.query(
            `SELECT public.grant_patient_consent($1, 'research_participation', 'study', p_consent_evidence => '{"signed": "on paper"}')`,
            [me],
          ),
        );
        await engine.undo("004_enhanced_consent");
        const module = await loadModule("004_enhanced_consent");
        const { refused } = await meanwhile(engine, db, module, () =>
          admin.query("SELECT public.request_patient_consent($1, 'research_participation', 'study')", [me]),
        );
        const [one] = refused.filter(({ original }) => original === "public.patient_consents");
        expect(one?.rows).to.equal(1);
        expect(remainingText(one!)).to.match(
          /^1 archived row of public\.patient_consents stays in guardian_archive\.patient_consents__\d+, refused: 1 by \w+ \(SQLSTATE 23505\);.*to have one in place of the other that has its key, delete that and touch this/,
        );
        const granted = "SELECT granted || consent_evidence::text FROM";
        expect(await column(admin, `${granted} ${one!.archivedAs}`)).to.deep.equal(['true{"signed": "on paper"}']);
        // As it is told to be settled.
        await admin.query("DELETE FROM public.patient_consents");
        await admin.query(`UPDATE ${one!.archivedAs} SET granted = granted`);
        const settled = await engine.apply(module);
        expect(settled.refused.filter(({ original }) => original === one!.original)).to.deep.equal([]);
        expect(await column(admin, `${granted} public.patient_consents`)).to.deep.equal(['true{"signed": "on paper"}']);
      },
      { modules: ["000_audit_log", "004_enhanced_consent"] },
    ));

  it("16-15: what equals the defaults gives way, what says the same takes its place, all else waits; what refers to it comes", () =>
    withMigrator(async (engine, client, db) => {
      const keyed = settings("ALTER TABLE public.t ADD FOREIGN KEY (parent) REFERENCES public.t;");
      await archived(
        engine,
        client,
        `INSERT INTO public.t (id, theme, parent, created_at) VALUES (1, 'dark', NULL, '2020-01-01'), (2, 'dark', NULL, '2020-01-01'),
           (3, 'dark', NULL, '2020-01-01'), (4, 'dark', NULL, '2020-01-01'), (5, 'light', 3, '2020-01-01')`,
        settings(),
      );
      const done = await meanwhile(engine, db, await moduleOf("900_t", settings()), () =>
        client.query(`INSERT INTO public.t (id, theme, until) VALUES (1, 'system', 'infinity'), (2, 'dark', 'infinity'),
          (3, 'system', '2030-01-01'), (4, 'light', 'infinity')`),
      );
      expect(await column(client, rowsOf)).to.deep.equal([
        "1 dark {} t",
        "2 dark {} f",
        "3 system {} f",
        "4 light {} f",
        "5 light {} t",
      ]);
      expect(await column(client, rejects)).to.deep.equal(["3 23505 t_pkey", "4 23505 t_pkey"]);
      expect(await column(client, counts)).to.deep.equal(["public.t 5 2 1 0 f"]);
      expect([done.restored, done.beaten, done.leftOut]).to.deep.equal([2n, 1n, 0n]);
      // To this version keys refer: no row gives way, since something may hang on it. What refers to a live row need not wait.
      await client.query("DELETE FROM guardian_archive.t__1");
      await engine.undo("900_t");
      await meanwhile(engine, db, await moduleOf("900_t", keyed), () =>
        client.query("INSERT INTO public.t (id) VALUES (1), (3)"),
      );
      expect(await column(client, "SELECT concat_ws(' ', id, theme, parent) FROM public.t ORDER BY id")).to.deep.equal([
        "1 system",
        "2 dark",
        "3 system",
        "4 light",
        "5 light 3",
      ]);
    }));
});
