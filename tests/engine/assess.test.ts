import { expect } from "chai";
import { assess, followedTables, lockedTables, type AssessmentItem } from "../../engine/assess";
import { Database } from "../../engine/database";
import { GuardianError } from "../../engine/base/errors";
import { closeLedger } from "../../engine/purge";
import { loadMigration, migrationNames } from "../../engine/migrate/definition/migration";
import { moveRows, takeBackRows } from "../../engine/migrate";
import { loadModule, moduleNames } from "../../engine/module/files/manifest";
import { withEmpty, withV6, type Login, type V6 } from "../support/postgres";
import { catalogue } from "../support/modules";
import { column, Engine, refusalOf, settingsOf, withEngine } from "./module/harness";

async function assessed(login: Login): Promise<AssessmentItem[]> {
  const host = new Database(settingsOf(login));
  try {
    const { items, volume } = await host.read(assess);
    return [...items, ...volume];
  } finally {
    await host.close();
  }
}

/** Runs a test with a login of its own that has no right but to connect. */
async function withRole(db: V6, test: (login: Login) => Promise<void>): Promise<void> {
  const admin = await db.connect("admin");
  const role = `least_${db.name}`;
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${db.admin.password}'`);
  try {
    await test({ ...db.migrator, user: role });
  } finally {
    await admin.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
  }
}

describe("the assessment", function () {
  this.timeout(120_000);

  it("tells what is there, and counts small tables exactly", () =>
    withV6(async (db) => {
      const client = await db.connect();
      const [users] = await column<string>(client, "SELECT count(*) FROM auth.users");
      const [documents] = await column<string>(client, "SELECT count(*) FROM public.documents");
      const lines = (await assessed(db.migrator)).map(
        ({ item, status, readiness }) => `${item}: ${status} (${readiness})`,
      );
      expect(lines).to.deep.equal([
        "Database Extensions: uuid-ossp installed (Ready)",
        "Core Tables: 8 of v6 present (Ready)",
        "User Profiles: user_profiles present: language and time zone come from it (Note)",
        "Document Normalization: extension http absent: completed documents end as 'failed'; that is v6, not data loss (Note)",
        "Default Rights: new functions, sequences, tables in schema public are opened to anon, authenticated, service_role; the migration takes that back from its own (Note)",
        "Rights of anon: TRUNCATE, TRIGGER, LOCK on public.documents, public.patient_allergies, public.patient_conditions, public.patient_lab_results, public.patient_medications, public.patient_providers, public.patient_vitals, public.user_profiles: whoever is not logged in may, whatever the policies say (Warning)",
        `User Data Count: ${users!} users (Ready)`,
        `Document Count: ${documents!} documents (Ready)`,
      ]);
    }));

  it("a large table is told by its estimate, and said to be one", () =>
    withV6(
      async (db) => {
        const admin = await db.connect("admin");
        await admin.query("UPDATE pg_class SET reltuples = 1234567 WHERE oid = 'auth.users'::regclass");
        const lines = (await assessed(db.migrator)).map(({ item, status }) => `${item}: ${status}`);
        expect(lines).to.include("User Data Count: about 1234567 users");
        expect(lines).to.include("User Profiles: no user_profiles: every account gets the defaults");
      },
      { profiles: false },
    ));

  it("what is no v6 is refused, with all that is missing", () =>
    withEmpty(async (db) => {
      for (const login of [db.admin, { ...db.admin, database: "postgres" }]) {
        const said = await refusalOf(assessed(login));
        expect(said.what).to.equal("this database is not a Guardian v6");
        expect(said.where).to.match(
          new RegExp(`^database ${login.database} as postgres; missing: table auth.users; table public.documents; `),
        );
        expect(said.where).to.contain("table public.patient_vitals");
        expect(said.todo).to.deep.equal([
          "check host, port and database name: guardian:database, PGHOST, PGPORT, PGDATABASE, PGSERVICE",
        ]);
      }
    }));

  it("something with tables of the same names is told by its columns", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await admin.query(
        "ALTER TABLE public.documents RENAME COLUMN s3_key TO file_url; ALTER TABLE public.patient_vitals RENAME TO vitals",
      );
      expect((await refusalOf(assessed(db.migrator))).where).to.match(
        /; missing: column s3_key of public\.documents; table public\.patient_vitals$/,
      );
    }));

  it("every right that is missing is named at once, with the statement that gives it; with these, and no more, everything goes up and down", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await withRole(db, async (login) => {
        const said = await refusalOf(assessed(login));
        expect(said.what).to.equal("this role lacks rights that the migration needs");
        const role = login.user;
        expect(said.todo).to.include.members([
          `GRANT CREATE ON DATABASE ${db.name} TO ${role};`,
          `GRANT CREATE, USAGE ON SCHEMA public TO ${role};`,
          `GRANT USAGE ON SCHEMA auth TO ${role};`,
          `GRANT SELECT ON auth.users TO ${role};`,
          `GRANT REFERENCES ON auth.users TO ${role};`,
        ]);
        expect(said.todo.some((line) => line.startsWith(`ALTER ROLE ${role} BYPASSRLS;`))).to.equal(true);
        // Each one alone is missed.
        for (const mend of said.todo) await admin.query(mend);
        await assessed(login);
        for (const mend of said.todo) {
          const taken = mend
            .replace(/ -- .*/, "")
            .replace("GRANT", "REVOKE")
            .replace(" TO ", " FROM ")
            .replace(" BYPASSRLS", " NOBYPASSRLS");
          await admin.query(taken);
          const lacks = await refusalOf(assessed(login));
          expect(lacks.what, mend).to.equal(
            lacks.todo.length === 1 ? "this role lacks a right that the migration needs" : said.what,
          );
          expect(lacks.todo, mend).to.include(mend);
          await admin.query(mend);
        }
        const before = await catalogue(admin);
        await wholeWay(login);
        expect(await catalogue(admin)).to.deep.equal(before);
      });
    }));

  it("asks for rights on exactly the tables that modules lock and data migrations follow", async () => {
    const modules = await Promise.all(moduleNames().map((name) => loadModule(name)));
    expect([...new Set(modules.flatMap((module) => module.locks))].sort()).to.deep.equal(lockedTables);
    const migrations = await Promise.all(migrationNames().map((name) => loadMigration(name)));
    const follows = migrations.flatMap((it) => it.sources.flatMap((source) => source.follows));
    expect([...new Set(follows.map((follow) => follow.table))].sort()).to.deep.equal(followedTables);
  });

  it("no role of the fixture is a superuser that would hide a missing right", () =>
    withEngine(async (_engine, db) => {
      expect(
        await column(await db.connect(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"),
      ).to.deep.equal([false]);
    }));
});

/** Everything up, the data too, and everything down, purge included. */
async function wholeWay(login: Login): Promise<void> {
  const engine = new Engine(login);
  try {
    await engine.open();
    await engine.applyReal(...moduleNames());
    const parameters = { mode: "assumed", legalBasis: "consent", statement: "s" };
    for (const name of migrationNames()) {
      const migration = await loadMigration(name);
      await engine.write("DataMigration", name, (fenced) => moveRows(fenced, migration, parameters));
    }
    for (const name of migrationNames().reverse()) await engine.write("DataMigration", name, takeBackRows);
    for (const name of moduleNames().reverse()) await engine.undo(name);
    await engine.write("Ledger", "ledger", (fenced) => closeLedger(fenced, true));
  } catch (err) {
    throw err instanceof GuardianError ? new Error(err.message) : err;
  } finally {
    await engine.close();
  }
}
