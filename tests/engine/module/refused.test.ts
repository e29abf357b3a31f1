import { expect } from "chai";
import type { Client } from "pg";
import { lostTables } from "../../../engine/ledger/archived";
import { loadMigration } from "../../../engine/migrate/definition/migration";
import { planMove } from "../../../engine/migrate/preview";
import { applyModule } from "../../../engine/module/apply";
import { giveUpLost } from "../../../engine/module/archive/lost";
import { loadModule } from "../../../engine/module/files/manifest";
import { asRole } from "../../support/postgres";
import { column, moduleOf, withEngine, type Engine, type Files, withMigrator } from "./harness";
import { archived, counts } from "./restored";
import { withoutBounds } from "./unbounded";
import { long } from "../../support/long";

const check = "CONSTRAINT t_note_bound CHECK (octet_length(note) <= 10)";
/** Things that belong to a person; the later version bounds what may be noted of them. */
const version = (bound = ""): Files => ({
  yaml: "locks: [auth.users]\nobjects:\n  table: [public.t]\narchive:\n  - { table: public.t, subject: person }\n",
  up: `CREATE TABLE public.t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int, person uuid, note text ${bound});
ALTER TABLE public.t ADD FOREIGN KEY (person) REFERENCES auth.users ON DELETE CASCADE;`,
});
const later = version(check);
const rejects = "SELECT concat_ws(' ', urn, key[1], sqlstate, object) FROM guardian_migration.reject ORDER BY key";
const detail = `SELECT DISTINCT ON (part) (detail ->> 'refused')::int FROM guardian_migration.step
  WHERE kind = 'rows' ORDER BY part, attempt DESC`;
const assumed = { mode: "assumed", legalBasis: "consent", statement: "s" };
const standing = "SELECT relname FROM pg_class WHERE relnamespace = 'guardian_archive'::regnamespace AND relkind = 'r'";

/** Notes, three of which are longer than the later version takes. */
const fill = (n = 300): string => `INSERT INTO public.t (n, person, note)
  SELECT i, (SELECT id FROM auth.users ORDER BY id LIMIT 1), CASE WHEN i IN (1, ${n / 2}, ${n}) THEN 'too long, a secret' ELSE 'short' END
  FROM generate_series(1, ${n}) i`;
const waiting = "SELECT id FROM guardian_archive.t__1 ORDER BY id";

/** The three wait, the others are back. */
async function threeRefused(engine: Engine, client: Client): Promise<string[]> {
  await engine.apply(await moduleOf("900_t", version()));
  await client.query(fill());
  await engine.undo("900_t");
  await engine.apply(await moduleOf("900_t", later));
  return column<string>(client, waiting);
}

describe("archived rows that a new bound refuses", function () {
  this.timeout(60_000);

  it("16-15: stay in the archive, counted and named by key, and block nothing", () =>
    withMigrator(async (engine, client) => {
      await engine.apply(await moduleOf("900_t", version()));
      await client.query(fill(5000));
      await engine.undo("900_t");
      const { restored, refused } = await engine.apply(await moduleOf("900_t", later));
      expect(restored).to.equal(4997n);
      expect(await column(client, counts)).to.deep.equal(["public.t 5000 4997 0 0 f"]);
      const keys = await column<string>(client, waiting);
      expect(await column(client, "SELECT n FROM guardian_archive.t__1 ORDER BY n")).to.deep.equal([1, 2500, 5000]);
      expect(await column(client, rejects)).to.deep.equal(
        keys.map((key) => `guardian_archive.t__1 ${key} 23514 t_note_bound`),
      );
      expect(await column(client, detail)).to.deep.equal([3]);
      expect(refused.map(({ rows, changed, rejects: why }) => ({ rows, changed, why }))).to.deep.equal([
        { rows: 3, changed: false, why: [{ sqlstate: "23514", object: "t_note_bound", rows: "3" }] },
      ]);
      expect(await engine.states("SqlModule", "900_t")).to.deep.equal({ "": "done", "rows public.t 1": "done" });
      // Nothing is left to do: a later up finds all as it is.
      expect((await engine.apply(await moduleOf("900_t", later))).restored).to.equal(0n);
      expect(await column(client, waiting)).to.deep.equal(keys);
      const said = JSON.stringify([engine.told, refused]);
      const [ledger] = await column<string>(
        client,
        "SELECT concat((SELECT jsonb_agg(to_jsonb(s)) FROM guardian_migration.step s), (SELECT jsonb_agg(to_jsonb(r)) FROM guardian_migration.reject r))",
      );
      expect(said + ledger!).not.to.contain("secret");
    }));

  it("16-15: mended in the archive they come back, given up there they are gone, and the archived table with them", () =>
    withMigrator(async (engine, client) => {
      await threeRefused(engine, client);
      await client.query("UPDATE guardian_archive.t__1 SET note = 'mended' WHERE n = 1");
      expect((await engine.apply(await moduleOf("900_t", later))).restored).to.equal(1n);
      expect(await column(client, "SELECT note FROM public.t WHERE n = 1")).to.deep.equal(["mended"]);
      expect(await column(client, counts)).to.deep.equal(["public.t 300 298 0 0 f"]);
      expect(await column(client, detail)).to.deep.equal([2]);
      await client.query("DELETE FROM guardian_archive.t__1");
      const { restored, refused } = await engine.apply(await moduleOf("900_t", later));
      expect([restored, refused]).to.deep.equal([0n, []]);
      expect(await column(client, counts)).to.deep.equal(["public.t 300 298 0 2 t"]);
      expect(await column(client, standing)).to.deep.equal([]);
      expect(await column(client, rejects)).to.deep.equal([]);
    }));

  it("16-15: come back with the next version that takes them, beside what was made meanwhile", () =>
    withMigrator(async (engine, client) => {
      await threeRefused(engine, client);
      await client.query("INSERT INTO public.t (n, note) VALUES (6000, 'meanwhile')");
      await engine.undo("900_t");
      expect(await column(client, standing)).to.have.members(["t__1", "t__2"]);
      expect((await engine.apply(await moduleOf("900_t", version()))).restored).to.equal(301n);
      expect(await column(client, "SELECT count(*) FROM public.t WHERE note LIKE 'too long%'")).to.deep.equal(["3"]);
      expect(await column(client, standing)).to.deep.equal([]);
    }));

  it("16-15: dropped with their table they are lost, as others are, and once given up nothing speaks of them", () =>
    withMigrator(async (engine, client) => {
      await threeRefused(engine, client);
      await client.query("DROP TABLE guardian_archive.t__1");
      // The module stands, and no up stops at it.
      expect((await engine.apply(await moduleOf("900_t", later))).refused).to.deep.equal([]);
      const lost = await engine.host.read((reader) => lostTables(reader));
      expect(lost.map(({ archivedAs, rows }) => `${archivedAs} ${rows}`)).to.deep.equal(["guardian_archive.t__1 3"]);
      await engine.write("purge", "purge", (fenced) => giveUpLost(fenced, lost));
      expect(await column(client, rejects)).to.deep.equal([]);
      expect(await column(client, counts)).to.deep.equal(["public.t 300 297 0 3 t"]);
    }));

  it("16-15: go with their account", () =>
    withEngine(async (engine, db) => {
      const [client, admin] = [await db.connect(), await db.connect("admin")];
      await threeRefused(engine, client);
      await admin.query("DELETE FROM auth.users WHERE id IN (SELECT person FROM guardian_archive.t__1)");
      expect(await column(client, waiting)).to.deep.equal([]);
      await engine.apply(await moduleOf("900_t", later));
      expect(await column(client, counts)).to.deep.equal(["public.t 300 297 0 3 t"]);
    }));

  it("16-15: what refers to one waits with it, in its own table and in another", () =>
    withMigrator(async (engine, client) => {
      const of = (bound = ""): Files => ({
        yaml: `objects:\n  table: [public.t, public.u]\narchive:\n  - { table: public.u, subject: none }\n  - { table: public.t, subject: none }\n`,
        up: `CREATE TABLE public.t (id int PRIMARY KEY, note text ${bound}, parent int REFERENCES public.t ON DELETE SET NULL);
          CREATE TABLE public.u (id int PRIMARY KEY, t int REFERENCES public.t ON DELETE CASCADE)`,
      });
      await archived(
        engine,
        client,
        `INSERT INTO public.t VALUES (1, 'short', NULL), (2, 'far too long', NULL), (3, 'short', 2), (4, 'short', 3), (5, 'short', 1),
           (6, 'too long too', NULL), (7, 'short', 6), (8, 'short', NULL), (9, 'short', 8);
         UPDATE public.t SET parent = 7 WHERE id = 6; UPDATE public.t SET parent = 9 WHERE id = 8;
         INSERT INTO public.u VALUES (1, 1), (2, 2), (3, 4), (4, NULL)`,
        of(),
      );
      await engine.apply(await moduleOf("900_t", of(check)));
      expect(await column(client, "SELECT concat_ws(' ', id, parent) FROM public.t ORDER BY id")).to.deep.equal([
        "1",
        "5 1",
        "8 9",
        "9 8",
      ]);
      expect(await column(client, "SELECT id FROM public.u ORDER BY id")).to.deep.equal([1, 4]);
      expect(
        await column(
          client,
          "SELECT concat_ws(' ', urn, key[1], sqlstate) FROM guardian_migration.reject ORDER BY urn, key",
        ),
      ).to.deep.equal([
        ...["2 23514", "3 23503", "4 23503", "6 23514", "7 23503"].map((line) => `guardian_archive.t__1 ${line}`),
        ...["2 23503", "3 23503"].map((line) => `guardian_archive.u__1 ${line}`),
      ]);
      expect(await column(client, counts)).to.deep.equal(["public.t 9 4 0 0 f", "public.u 4 2 0 0 f"]);
      // All of them come back with the version that takes them, and still refer to each other.
      await engine.undo("900_t");
      await engine.apply(await moduleOf("900_t", of()));
      expect(
        await column(client, "SELECT concat_ws(' ', id, parent) FROM public.t WHERE id IN (2, 3, 4, 6, 7) ORDER BY id"),
      ).to.deep.equal(["2", "3 2", "4 3", "6 7", "7 6"]);
      expect(await column(client, "SELECT concat_ws(' ', id, t) FROM public.u ORDER BY id")).to.deep.equal([
        "1 1",
        "2 2",
        "3 4",
        "4",
      ]);
      expect(await column(client, standing)).to.deep.equal([]);
    }));

  it("16-15: without a key of uuids and numbers they are named by their place: a key may say who it is", () =>
    withMigrator(async (engine, client) => {
      const of = (bound = ""): Files => ({
        ...version(bound),
        up: version(bound).up.replace("id uuid PRIMARY KEY DEFAULT gen_random_uuid()", "id text PRIMARY KEY"),
      });
      await archived(
        engine,
        client,
        "INSERT INTO public.t (id, note) VALUES ('ann@example', 'far too long'), ('b', 'short')",
        of(),
      );
      await engine.apply(await moduleOf("900_t", of(check)));
      expect(await column(client, rejects)).to.deep.equal(["guardian_archive.t__1 (0,1) 23514 t_note_bound"]);
    }));

  long("16-15: a run that is killed meanwhile goes on, and refuses the same", () =>
    withMigrator(async (engine, client) => {
      await archived(engine, client, fill(5000), version());
      const stop = new AbortController();
      engine.onProgress = ({ phase, done = 0 }) => {
        if (phase === "restore" && done > 2500) stop.abort();
      };
      const module = await moduleOf("900_t", later);
      await engine
        .write("SqlModule", "900_t", (fenced) => applyModule(fenced, module, Date.now() + 60_000), {
          signal: stop.signal,
        })
        .then(
          () => expect.fail("it was not stopped"),
          () => undefined,
        );
      engine.onProgress = () => undefined;
      const noted = "SELECT count(*)::int FROM guardian_migration.reject";
      expect(await column(client, noted)).to.not.deep.equal([0]);
      // What the first run noted is not tried by the second; that somebody mended it since is seen by the next.
      await client.query("UPDATE guardian_archive.t__1 SET note = 'mended' WHERE n = 1");
      const { refused } = await engine.apply(module);
      expect(await column(client, counts)).to.deep.equal(["public.t 5000 4997 0 0 f"]);
      expect(await column(client, noted)).to.deep.equal([3]);
      expect(refused.map(({ changed }) => changed)).to.deep.equal([true]);
      expect((await engine.apply(module)).restored).to.equal(1n);
      expect(await column(client, counts)).to.deep.equal(["public.t 5000 4998 0 0 f"]);
      expect((await engine.apply(module)).restored).to.equal(0n);
      expect(await column(client, noted)).to.deep.equal([2]);
    }),
  );

  it("16-15: preferences of the version without bounds: what is too large waits, all else comes back", () =>
    withEngine(
      async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        await engine.apply(await loadModule("005_user_preferences", withoutBounds("005_user_preferences")));
        const [rich, plain] = await column<string>(client, "SELECT id FROM auth.users ORDER BY id LIMIT 2");
        for (const [user, size] of [
          [rich!, 100_000],
          [plain!, 1000],
        ] as const)
          await asRole(admin, "authenticated", user, (c) =>
            c.query(
              "INSERT INTO public.user_preferences (user_id, dashboard_layout) VALUES ($1, jsonb_build_object('x', repeat('y', $2)))",
              [user, size],
            ),
          );
        await engine.undo("005_user_preferences");
        const { refused } = await engine.apply(await loadModule("005_user_preferences"));
        expect(await column(client, "SELECT user_id FROM public.user_preferences")).to.deep.equal([plain]);
        const [apply] = await column<string>(client, "SELECT apply_id FROM guardian_migration.archived");
        expect(await column(client, rejects)).to.deep.equal([
          `guardian_archive.user_preferences__${apply!} ${rich!} 23514 user_preferences_check_all.dashboard_layout`,
        ]);
        expect(refused.map(({ rows }) => rows)).to.deep.equal([1]);
        // The data migration leaves alone what waits, and finds nothing amiss.
        const moved = await engine.move(await loadMigration("preferences"), {});
        expect(moved.source - moved.written).to.equal(2n);
        expect(
          await column(client, "SELECT count(*)::int FROM public.user_preferences WHERE user_id = $1", [rich]),
        ).to.deep.equal([0]);
      },
      { modules: ["000_audit_log"] },
    ));

  long("16-15: who revoked a consent in words that are too long now gets no assumed one from the migration", () =>
    withEngine(
      async (engine, db) => {
        const [client, admin] = [await db.connect(), await db.connect("admin")];
        await engine.apply(await loadModule("004_enhanced_consent", withoutBounds("004_enhanced_consent")));
        const [patient] = await column<string>(
          client,
          "SELECT id FROM auth.users WHERE created_at < now() - interval '2 days' ORDER BY id LIMIT 1",
        );
        await asRole(admin, "authenticated", patient!, (c) =>
          c.query(
            "SELECT public.refuse_patient_consent($1, 'data_sharing', 'healthcare_services', p_reason => repeat('no ', 10000))",
            [patient],
          ),
        );
        await engine.undo("004_enhanced_consent");
        await engine.apply(await loadModule("004_enhanced_consent"));
        expect(await column(client, "SELECT object FROM guardian_migration.reject")).to.deep.equal([
          "patient_consents_revocation_reason_bound",
        ]);
        const migration = await loadMigration("consents");
        const planned = await engine.host.read((reader) => planMove(reader, migration, assumed));
        const moved = await engine.move(migration, assumed);
        expect(moved.written).to.equal(planned.written);
        expect(moved.source - moved.written).to.equal(1n);
        expect(
          await column(client, "SELECT count(*)::int FROM public.patient_consents WHERE patient_id = $1", [patient]),
        ).to.deep.equal([0]);
      },
      { modules: ["000_audit_log"] },
    ),
  );
});
