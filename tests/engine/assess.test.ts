import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assess, type AssessmentItem } from "../../engine/assess";
import { grantsFor } from "../../engine/rights";
import { followedTables, lockedTables } from "../../spec/roles";
import { main as grants } from "../../scripts/grants";
import { GuardianError } from "../../engine/base/errors";
import { loadMigration, migrationNames } from "../../engine/migrate/definition/migration";
import { loadModule, moduleNames } from "../../engine/module/files/manifest";
import { major, withEmpty, withV6, type Login, type V6 } from "../support/postgres";
import * as calls from "../support/calls";
import { long } from "../support/long";
import { withWalk } from "../support/walk";
import { wholeWay } from "../support/whole-way";
import { unknownMark } from "../support/wire";
import { catalogue } from "../support/modules";
import { withHost } from "./host";
import { column, refusalOf, withEngine } from "./module/harness";

const assessed = (login: Login): Promise<AssessmentItem[]> =>
  withHost(login, async (host) => {
    const { items, volume } = await host.read(assess);
    return [...items, ...volume];
  });

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

  it("every right that is missing is named at once, with the statement that gives it", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await withRole(db, async (login) => {
        const said = await refusalOf(assessed(login));
        expect(said.what).to.equal("this role lacks rights that the migration needs");
        const role = login.user;
        const statements = ({ todo }: GuardianError): string[] =>
          (todo[0] ?? "").replace(/^as a superuser, or whoever owns these, all of: /, "").split(" and ");
        const mends = statements(said);
        expect(mends).to.include.members([
          `GRANT CREATE ON DATABASE ${db.name} TO ${role};`,
          `GRANT CREATE, USAGE ON SCHEMA public TO ${role};`,
          `GRANT USAGE ON SCHEMA auth TO ${role};`,
          `GRANT SELECT ON auth.users TO ${role};`,
          `GRANT REFERENCES ON auth.users TO ${role};`,
        ]);
        expect(mends).to.include(`ALTER ROLE ${role} BYPASSRLS;`);
        const lock = major >= 17 ? "MAINTAIN" : "DELETE";
        expect(mends, "16-17").to.include(`GRANT ${lock} ON auth.users TO ${role};`);
        expect(mends.filter((mend) => /DELETE|MAINTAIN/.test(mend)).every((mend) => mend.includes(lock))).to.equal(
          true,
        );
        const script = grantsFor({ role, database: db.name, major }).map(({ statement }) => statement);
        expect(script.slice(0, -2)).to.deep.equal(mends);
        // Each one alone is missed.
        for (const mend of mends) await admin.query(mend);
        await assessed(login);
        for (const mend of mends) {
          const taken = mend.replace("GRANT", "REVOKE").replace(" TO ", " FROM ").replace(" BYPASSRLS", " NOBYPASSRLS");
          await admin.query(taken);
          const lacks = await refusalOf(assessed(login));
          expect(lacks.what, mend).to.equal(
            statements(lacks).length === 1 ? "this role lacks a right that the migration needs" : said.what,
          );
          expect(statements(lacks), mend).to.include(mend);
          await admin.query(mend);
        }
      });
    }));

  // With the backup's and the gates' rights besides, which would hide a SELECT that is missing, tests/scripts/roles.test.ts goes the same way.
  long("with these rights, and no more, everything goes up and down", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await withRole(db, async (login) => {
        const script = grantsFor({ role: login.user, database: db.name, major }).map(({ statement }) => statement);
        for (const statement of script.slice(0, -2)) await admin.query(statement);
        const before = await catalogue(admin);
        await wholeWay(login);
        expect(await catalogue(admin)).to.deep.equal(before);
      });
    }),
  );

  it("16-17 a role that may only read can preview: what only up needs is a warning there", () =>
    withV6(async (db) => {
      const admin = await db.connect("admin");
      await withRole(db, async (login) => {
        await admin.query(`GRANT pg_read_all_data TO ${login.user}; ALTER ROLE ${login.user} BYPASSRLS`);
        await withWalk({ database: login }, async (walk) => {
          const { plugin } = walk;
          const { warnings } = await walk.assess({ modules: [] }, true);
          const warned = warnings.filter((line) => line.startsWith("this role"));
          expect(warned).to.have.length(1);
          expect(warned[0]).to.match(/^this role may preview, and lacks rights that up needs; as a superuser/);
          expect(warned[0])
            .to.contain(`GRANT CREATE ON DATABASE ${db.name} TO ${login.user};`)
            .and.not.contain("SELECT");
          for (const [kind, name, args] of [
            ["Ledger", "ledger", { purge: false }],
            ["Backup", "backup", walk.backupArgs(unknownMark)],
            ["SqlModule", "004_enhanced_consent", { module: "004_enhanced_consent", ledgerId: unknownMark }],
            ["DataMigration", "consents", walk.consents(unknownMark)],
          ] as const) {
            await walk.create(kind, name, args, { preview: true });
          }
          const refused = await plugin.fail(
            plugin.client.invoke,
            calls.invoke("guardian-migration:index:assess", { modules: [] }),
          );
          expect(refused.message).to.contain("this role lacks rights that the migration needs");
        });
      });
    }));

  it("16-17 the script for a role has each right on a line of its own, and why; names are quoted", async () => {
    const lines: string[] = [];
    const to = {
      print: (text: string) => void lines.push(...text.split("\n")),
      say: (text: string) => void lines.push(text),
    };
    expect(await grants(["--role", 'a"b', "--database", "My DB", "--server", "15"], to)).to.equal(0);
    // What the gates would need besides is told, and not run: those lines are comments.
    const run = lines.filter((line) => line !== "" && !line.startsWith("--"));
    expect(run.every((line) => /^(GRANT|ALTER ROLE) .+; +-- \S/.test(line))).to.equal(true);
    expect(run).to.have.length.above(10);
    expect(run[0]).to.match(
      /^GRANT CREATE ON DATABASE "My DB" TO "a""b"; +-- the ledger's and the archive's schemas are made$/,
    );
    expect(lines.join("\n")).to.match(
      /GRANT DELETE ON auth\.users TO "a""b"; +-- LOCK TABLE asks for it before PostgreSQL 17; no row is/,
    );
    expect(lines.join("\n")).to.contain("(only where v6 has it)").and.not.contain("MAINTAIN");
    expect(await grants(["--undo", "--role", "x"], to)).to.equal(2);
    expect(lines.at(-1)).to.contain("--help");
  });

  it("16-17 the script is for the stack's own database, also where its password is not to be had; --database wins", async () => {
    const folder = mkdtempSync(join(tmpdir(), "guardian-grants-"));
    try {
      const config = (keys: object): string => JSON.stringify({ config: { "guardian:database": keys } });
      writeFileSync(join(folder, "Pulumi.prod.yaml"), config({ database: "patients", passwordFrom: "env:NOT_HERE" }));
      writeFileSync(join(folder, "Pulumi.staging.yaml"), config({ host: "db" }));
      const printed = async (...args: string[]): Promise<string> => {
        const lines: string[] = [];
        const to = { print: (text: string) => void lines.push(text), say: (text: string) => void lines.push(text) };
        await grants(["--role", "m", ...args], { ...to, clone: folder, env: { HOME: folder, PGDATABASE: "by libpq" } });
        return lines.join("\n");
      };
      expect(await printed("--stack", "prod"))
        .to.contain('ON DATABASE "patients"')
        .and.contain("of the stack prod");
      expect(await printed("--stack", "staging")).to.contain('ON DATABASE "by libpq"');
      expect(await printed("--stack", "prod", "--database", "mine")).to.contain('ON DATABASE "mine"');
      expect(await printed("--stack", "none"))
        .to.contain("[stack-unknown]")
        .and.contain("--stack prod | staging");
      expect(await printed()).to.contain("[stack-unselected]");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

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
