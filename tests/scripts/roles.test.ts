import { expect } from "chai";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "pg";
import { scramVerifier } from "../../components/scram";
import { verifyBackup } from "../../engine/backup";
import { dump } from "../../engine/backup/dump";
import { Database } from "../../engine/database";
import { gates } from "../../engine/gates";
import { runCheck } from "../../engine/gates/check";
import { loadModule, moduleNames } from "../../engine/module/files/manifest";
import { startServer, type Server } from "../../engine/server/server";
import { roleNames, type RoleName } from "../../spec/roles";
import { formatted } from "../../scripts/docs";
import { rolesPage } from "../../scripts/docs/roles";
import { dropRoles, makeRoles } from "../../scripts/grants";
import { clientFolder } from "../../scripts/pg-clients";
import { addRoles, createOwned, type RolesDatabase } from "../../scripts/roles/database";
import { tryRoles, type Section } from "../../scripts/roles/matrix";
import { withClient, type Login } from "../../scripts/v6/database";
import { settingsOf } from "../../scripts/v6/operator";
import { differences, fingerprintOf } from "../support/story";
import { major } from "../support/major";
import { skip } from "../support/skip";
import { outcome, withWalk } from "../support/walk";
import { wholeWay } from "../support/whole-way";
import { unknownMark } from "../support/wire";
import { withFolder } from "../support/folder";

const ours = `'{${roleNames.join(",")}}'::text[]`;

/** Who owns what, and may what; the four roles aside. */
async function rightsOfOthers(client: Client): Promise<string[]> {
  const acl = (name: string, kind: string, owner: string, list: string, from: string): string =>
    `SELECT concat_ws(' ', '${kind}', ${name}, 'of', pg_get_userbyid(${owner}), (SELECT string_agg(concat_ws(' ', CASE a.grantee WHEN 0
       THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable), ', ' ORDER BY a.grantee, a.privilege_type)
       FROM aclexplode(coalesce(${list})) a WHERE a.grantee = 0 OR pg_get_userbyid(a.grantee) <> ALL (${ours}))) AS line FROM ${from}`;
  const { rows } = await client.query<{ line: string }>(
    [
      acl(
        "oid::regclass",
        "relation",
        "relowner",
        "relacl, acldefault('r', relowner)",
        `pg_class WHERE relkind IN ('r', 'v', 'S')`,
      ),
      acl("oid::regprocedure", "function", "proowner", "proacl, acldefault('f', proowner)", "pg_proc"),
      acl("nspname", "schema", "nspowner", "nspacl, acldefault('n', nspowner)", "pg_namespace"),
      acl("datname", "database", "datdba", "datacl, acldefault('d', datdba)", "pg_database"),
      `SELECT concat_ws(' ', 'default', defaclrole::regrole, defaclobjtype, defaclacl::text) FROM pg_default_acl`,
      `SELECT concat_ws(' ', 'member', member::regrole, roleid::regrole) FROM pg_auth_members
       WHERE pg_get_userbyid(member) <> ALL (${ours}) AND pg_get_userbyid(roleid) <> ALL (${ours})`,
    ].join(" UNION ALL "),
  );
  return rows.map(({ line }) => line).sort();
}

/** Tables that a dump of a migrated database holds among others: v6's, v7's, the ledger's. */
const everywhere = ["auth.users", "public.documents", "public.feature_flags", "guardian_migration.step"];

/** What pg_read_all_data lets read too (docs/roles.md). */
const hashes = "read hashes of passwords of roles";

describe("the four roles", function () {
  this.timeout(120_000);
  let server: Server;
  let database: RolesDatabase;
  /** What the four could do while everything was up. */
  let sections: Section[] = [];
  before(async () => (server = await startServer({ major, inMemory: true })));
  after(() => server.stop());

  it("18-2 the script makes them and takes them away: v6's owners and rights are as before, meanwhile and afterwards", async () => {
    const admin = await createOwned(server, "roles", 40);
    await withClient(admin, async (client) => {
      const before = await fingerprintOf(client, admin, []);
      const rights = await rightsOfOthers(client);
      await client.query(makeRoles("roles", major));
      expect(await rightsOfOthers(client)).to.deep.equal(rights);
      expect(differences(before, await fingerprintOf(client, admin, [])).join()).to.contain("role guardian_auditor");
      await client.query(dropRoles("roles", major));
      expect(differences(before, await fingerprintOf(client, admin, []))).to.deep.equal([]);
    });
    database = await addRoles(server, admin);
  });

  it("19-1 the migrator may see all that the gate before asks of the catalogue: a strict stack would stop at what could not run", async () => {
    const host = new Database(settingsOf(database.as.guardian_migrator));
    const declared = {
      env: { ...process.env, GUARDIAN_PG_BIN: await clientFolder(major) },
      backup: { directory: join(tmpdir(), "guardian-roles-gates"), maxAge: 3600, verify: "restore" as const },
      limits: { maxDataLoss: 0.001, warnSlowdown: 0.1, maxSlowdown: 0.25 },
      ...{ publications: [], operators: [], strict: true, signOff: {}, endpoints: [] },
    };
    try {
      for (const check of gates.before.filter(({ cost }) => cost === "catalogue")) {
        const { verdict, evidence } = await runCheck(check, host, declared);
        expect(verdict, `${check.name}: ${evidence.join("; ")}`).not.to.equal("could not run");
      }
    } finally {
      await host.close();
    }
  });

  it("18-2 a verifier in a password's place lets in who knows the password, and nobody else", async () => {
    const { admin } = database;
    await withClient(admin, (client) =>
      client.query(`CREATE ROLE verified LOGIN PASSWORD '${scramVerifier("verified", "sixteen-characters")}'`),
    );
    const enter = (password: string): Promise<unknown> =>
      withClient({ ...admin, user: "verified", password }, (client) => client.query("SELECT 1"));
    await enter("sixteen-characters");
    const refused = await enter("sixteen-character!").catch((err: unknown) => String(err));
    expect(refused).to.match(/password authentication failed/);
    await withClient(admin, (client) => client.query("DROP ROLE verified"));
  });

  it("18-2 the auditor previews the whole of it before anything is there; the script's other roles are no more in it", () =>
    withWalk({ database: database.as.guardian_auditor }, async (walk) => {
      await walk.assess({ modules: [] }, true);
      for (const [kind, name, args] of [
        ["Ledger", "ledger", { purge: false }],
        ["Backup", "backup", walk.backupArgs(unknownMark)],
        ["SqlModule", "004_enhanced_consent", { module: "004_enhanced_consent", ledgerId: unknownMark }],
        ["DataMigration", "consents", walk.consents(unknownMark)],
      ] as const) {
        await walk.create(kind, name, args, { preview: true });
      }
      expect(await outcome(walk.assess({ modules: [] }))).to.contain("this role lacks rights that the migration needs");
    }));

  it("18-2 the migrator takes everything up and down; meanwhile the others do what they are for, and no role can be dropped", async () => {
    const { admin, as } = database;
    const modules = await Promise.all(moduleNames().map((name) => loadModule(name)));
    return withFolder(async (folder) => {
      await withClient(admin, async (client) => {
        const before = await fingerprintOf(client, admin, []);
        await wholeWay(as.guardian_migrator, async () => {
          sections = await tryRoles(database, modules);
          const { tables } = await dumped(as.guardian_backup, folder);
          expect(tables.map(({ schema, table }) => `${schema}.${table}`)).to.include.members(everywhere);
          expect(await outcome(dumped(as.guardian_operator, folder))).to.contain("[right-missing]");
          await withClient(as.guardian_operator, (own) => own.query("SELECT public.emergency_rollback_to_v6()"));
          for (const role of ["guardian_migrator", "guardian_operator"]) {
            expect(await outcome(client.query(`DROP ROLE ${role}`)), role).to.contain("some objects depend on it");
          }
        });
        expect(differences(before, await fingerprintOf(client, admin, []))).to.deep.equal([]);
      });
    });
  });

  it("18-2 the auditor refreshes what is up, drift and all, and cannot do an up", async () => {
    const { as } = database;
    await withWalk({ database: as.guardian_migrator }, async (walk) => {
      const { ledger, modules } = await walk.through(["000_audit_log", "001_feature_flags"]);
      const of = (flag: string) => ({
        ...{ flag, enabled: true, rolloutPercentage: 5, enabledForUsers: [] },
        ledgerId: ledger.state["ledgerId"] ?? null,
      });
      const flag = await walk.create("FeatureFlag", "fhir_integration", of("fhir_integration"));
      await withWalk({ database: as.guardian_auditor }, async (auditor) => {
        // Which values module 001 delivers is told to its owner alone.
        expect(await auditor.diff(flag)).to.deep.equal({ changes: "none", paths: {} });
        await auditor.create("FeatureFlag", "enhanced_consent", of("enhanced_consent"), { preview: true });
        for (const held of [ledger, ...modules, flag])
          expect((await auditor.read(held)).id, held.urn).to.equal(held.id);
        const { ledgerId } = ledger.state as { ledgerId: string };
        const next = { module: "002_migration_tracking", ledgerId };
        const failed = await outcome(auditor.create("SqlModule", next.module, next));
        expect(failed).to.match(/permission denied/);
      });
      for (const held of [ledger, ...modules, flag].reverse()) await walk.remove(held);
    });
    await withClient(database.admin, (client) =>
      client.query("DROP SCHEMA guardian_migration, guardian_archive CASCADE"),
    );
  });

  describe("as tried", () => {
    const cells = (role: RoleName, title?: string): [name: string, cell: string][] =>
      sections
        .filter((section) => title === undefined || section.title === title)
        .flatMap(({ rows }) => rows.map(({ name, cells }): [string, string] => [name, cells[role]]));

    it("18-2 docs/roles.md is what came out, on production's version", async function () {
      if (major !== 17) skip(this, "docs/roles.md is made on PostgreSQL 17");
      const page = (await formatted(new Map([["roles.md", rolesPage(sections)]]))).get("roles.md");
      expect(readFileSync(join(__dirname, "..", "..", "docs", "roles.md"), "utf8"), "run `npm run docs`").to.equal(
        page,
      );
    });

    it("18-2 auditor and backup read everything, change nothing, and call nothing of the operator's", () => {
      for (const role of ["guardian_auditor", "guardian_backup"] as const) {
        expect(
          cells(role, "v6's tables").filter(([, cell]) => cell !== "read"),
          role,
        ).to.deep.equal([]);
        // Views that call functions of v7's are the operator's.
        const made = cells(role, "What the migration made").filter(([, cell]) => cell !== "read");
        expect(made.map((pair) => pair.join(": ").replaceAll(/\b\d+\b/g, "n"))).to.deep.equal([
          "v7's views (n): read n of them",
        ]);
        expect(
          cells(role, "Functions of module 009").filter(([, cell]) => cell !== "–"),
          role,
        ).to.deep.equal([]);
        const may = cells(role, "The server and the database").filter(([, cell]) => cell === "yes");
        expect(
          may.map(([name]) => name),
          role,
        ).to.deep.equal(["make a temporary table", "make a large object", hashes]);
        expect(
          cells(role, "A dump").map(([, cell]) => cell),
          role,
        ).to.deep.equal(["yes"]);
      }
    });

    it("18-2 the operator may do what 009 is for, and reads or changes nothing of v6", () => {
      const called = cells("guardian_operator", "Functions of module 009").filter(([, cell]) => cell === "runs");
      expect(called).to.have.length(13);
      expect(called.map(([name]) => name)).to.include("public.emergency_rollback_to_v6()");
      expect(cells("guardian_operator", "v6's tables").filter(([, cell]) => cell !== "–")).to.deep.equal([]);
      expect(
        cells("guardian_operator", "What the migration made")
          .map(([, cell]) => cell)
          .join(),
      ).not.to.match(/insert|update|delete|truncate|alter|drop/);
      expect(cells("guardian_operator", "A dump").map(([, cell]) => cell)).to.deep.equal(["–"]);
    });

    it("18-2 the migrator changes no row of v6, owns what it made, and is no administrator", () => {
      const on = cells("guardian_migrator", "v6's tables");
      const allowed =
        major >= 17 ? /^read(, lock)?(, refer)?(, trigger)?$/ : /^read(, lock)?(, refer)?(, trigger)?(, delete)?$/;
      expect(on.filter(([, cell]) => !allowed.test(cell))).to.deep.equal([]);
      const own = "read, insert, update, delete, truncate, alter, drop";
      expect(cells("guardian_migrator", "What the migration made").map(([, cell]) => cell)).to.include(own);
      const may = cells("guardian_migrator", "The server and the database").filter(([, cell]) => cell === "yes");
      expect(may.map(([name]) => name)).to.deep.equal([
        "make a schema",
        "make a table in guardian_migration",
        "make a table in guardian_archive",
        "make a table in public",
        "make a temporary table",
        "make a large object",
        hashes,
      ]);
    });
  });
});

async function dumped(login: Login, directory: string) {
  const { path } = await dump({
    settings: settingsOf(login),
    directory,
    jobs: 1,
    excludeSchemas: [],
    ledgerId: "5b0c0b6e-0000-4000-8000-000000000000",
    protects: {},
    env: { GUARDIAN_PG_BIN: await clientFolder(major) },
  });
  return verifyBackup(path, { sha: true });
}
