import { expect } from "chai";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { stringify } from "yaml";
import { foundationProject } from "../../config/foundation";
import { loadModule, moduleNames } from "../../engine/module/files/manifest";
import { startServer, type Server } from "../../engine/server/server";
import { formatted } from "../../scripts/docs";
import { rolesPage } from "../../scripts/docs/roles";
import { main as gates } from "../../scripts/gates";
import { createOwned } from "../../scripts/roles/database";
import { tryRoles } from "../../scripts/roles/matrix";
import { clientFolder } from "../../scripts/pg-clients";
import { findEngine } from "../../scripts/pulumi/engine";
import { programOf } from "../../scripts/pulumi/program";
import { pulumi } from "../../scripts/pulumi/run";
import { environment } from "../../scripts/stack/backend";
import { withClient, type Login } from "../../scripts/v6/database";
import { major } from "../support/major";
import { root } from "../support/plugin";
import { postgresqlPlugin } from "../support/postgresql-plugin";
import { skip } from "../support/skip";
import { keep, withStack } from "../support/stack";
import { beyondSchema, differences, fingerprintOf, total } from "../support/story";

/** A stack of foundation/ on the real engine, with the real plugin. */
class Foundation {
  readonly passwords: Record<string, string> = {
    MIGRATOR: "the-first-of-migrator",
    AUDITOR: "the-first-of-auditor",
    BACKUP: "the-first-of-backup",
  };

  constructor(
    private readonly folder: string,
    private readonly engine: string,
    /** Folder of the plugin. */
    private readonly plugin: string,
    private readonly admin: Login,
  ) {
    mkdirSync(join(folder, "state"));
    writeFileSync(join(folder, "Pulumi.yaml"), stringify({ name: foundationProject, runtime: "nodejs" }));
    const { host, port, database, user } = admin;
    const config = {
      database: { host, port, database, user, sslmode: "disable", passwordFrom: "env:ADMIN" },
      access: {
        migrator: { passwordFrom: "env:MIGRATOR" },
        auditor: { passwordFrom: "env:AUDITOR" },
        backup: { passwordFrom: "env:BACKUP" },
        operators: ["alice"],
        server: major,
      },
    };
    const keys = Object.entries(config).map(([key, value]) => [`${foundationProject}:${key}`, value] as const);
    writeFileSync(join(folder, "Pulumi.prod.yaml"), stringify({ config: Object.fromEntries(keys) }));
  }

  async run(...args: string[]): Promise<{ code: number; output: string }> {
    const backend = { state: join(this.folder, "state"), home: join(this.folder, "home"), passphrase: "tests only" };
    const PATH = [this.plugin, process.env["PATH"] ?? ""].join(delimiter);
    const env = environment(backend, { PATH, ADMIN: this.admin.password, ...this.passwords });
    // The program reads passwords in this process.
    Object.assign(process.env, { ADMIN: this.admin.password, ...this.passwords });
    const { code, stdout, stderr } = await pulumi([...args, "--non-interactive", "--color=never"], {
      cwd: this.folder,
      env,
      engine: this.engine,
      program: programOf(join(root, "foundation")),
      stdio: "pipe",
    });
    return { code, output: stdout + stderr };
  }

  async must(...args: string[]): Promise<string> {
    const { code, output } = await this.run(...args);
    expect(code, `${args.join(" ")}:\n${output}`).to.equal(0);
    return output;
  }
}

/** The verdicts of `npm run gates` for who logs in so, by check. */
async function verdicts(
  { host, port, database, user, password }: Login,
  clone: string,
): Promise<Record<string, string>> {
  const libpq = { PGHOST: host, PGPORT: String(port), PGDATABASE: database, PGUSER: user, PGPASSWORD: password };
  const env = { ...process.env, ...libpq, GUARDIAN_PG_BIN: await clientFolder(major) };
  const printed: string[] = [];
  const print = (text: string): void => void printed.push(text);
  await gates(["--json", "--stack", "dev"], { print, say: () => undefined, clone, env });
  const { checks } = JSON.parse(printed.join("\n")) as { checks: Record<"check" | "verdict", string>[] };
  return Object.fromEntries(checks.map(({ check, verdict }) => [check, verdict]));
}

describe("foundation/, with the plugin of PostgreSQL", function () {
  this.timeout(900_000);
  let server: Server | undefined;
  let folder: string | undefined;
  let stack: Foundation;
  let admin: Login;

  before(async function () {
    const plugin = await postgresqlPlugin().catch((err: unknown) =>
      skip(this, `no plugin of PostgreSQL on PATH, and it cannot be built (CONTRIBUTING.md): ${String(err)}`),
    );
    server = await startServer({ major, inMemory: true });
    admin = await createOwned(server, "foundation", 20);
    await withClient(admin, (client) => client.query(`CREATE ROLE alice LOGIN PASSWORD '${admin.password}'`));
    folder = mkdtempSync(join(tmpdir(), "guardian-foundation-"));
    stack = new Foundation(folder, (await findEngine({ log: { line: () => undefined } })).path, plugin, admin);
    await stack.must("stack", "init", "prod");
  });
  after(async () => {
    await server?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it("18-2 up, up again without a change, a new password, a destroy that is refused, and one that leaves all as it was", async () => {
    await withClient(admin, async (client) => {
      const before = await fingerprintOf(client, admin, []);
      const unchanged = ["--refresh", "--expect-no-changes", "--skip-preview", "--yes"];
      const memberships = async (): Promise<string[]> => {
        const { rows } = await client.query<{ line: string }>(
          "SELECT concat_ws(' in ', member::regrole, roleid::regrole) AS line FROM pg_auth_members ORDER BY 1",
        );
        return rows
          .map(({ line }) => line)
          .filter((line) => line.includes("guardian_"))
          .sort();
      };
      const members = [
        "alice in guardian_operator",
        ...["auditor", "backup", "migrator"].map((role) => `guardian_${role} in pg_read_all_data`),
        ...["auditor", "migrator"].map((role) => `guardian_${role} in pg_read_all_stats`),
      ].sort();

      await stack.must("up", "--yes", "--skip-preview");
      expect(await memberships()).to.deep.equal(members);
      await stack.must("up", ...unchanged);

      // A new password is an update of its role, which revokes all memberships that the Role does not name.
      stack.passwords["AUDITOR"] = "the-second-of-auditor";
      expect(await stack.must("up", "--yes", "--skip-preview")).to.match(/~ 1 updated/);
      expect(await memberships()).to.deep.equal(members);
      await stack.must("up", ...unchanged);
      const auditor = { ...admin, user: "guardian_auditor", password: "the-second-of-auditor" };
      await withClient(auditor, (own) => own.query("SELECT count(*) FROM auth.users"));
      const state = await stack.must("stack", "export", "--show-secrets");
      for (const password of ["the-first-of", "the-second-of"]) expect(state).not.to.contain(password);

      // What the role owns does not become the administrator's.
      const migrator = { ...admin, user: "guardian_migrator", password: "the-first-of-migrator" };
      await withClient(migrator, (own) => own.query("CREATE TABLE public.kept ()"));
      const { code, output } = await stack.run("destroy", "--yes", "--skip-preview");
      expect(code, output).not.to.equal(0);
      expect(output).to.match(/guardian_migrator[\s\S]+depend on it/);
      const owner = await client.query<{ owner: string }>(
        "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 'kept'",
      );
      expect(owner.rows).to.deep.equal([{ owner: "guardian_migrator" }]);
      await stack.must("up", "--yes", "--skip-preview");
      expect(await memberships()).to.deep.equal(members);
      await stack.must("up", ...unchanged);

      await client.query("DROP TABLE public.kept");
      await stack.must("destroy", "--yes", "--skip-preview");
      expect(differences(before, await fingerprintOf(client, admin, []))).to.deep.equal([]);
    });
  });

  it("18-2 as the roles that it made: the migrator takes the whole stack up and down, the auditor previews and checks, the backup dumps, an operator does what 009 is for, and none of these can do more", async () => {
    await withClient(admin, async (client) => {
      const untouched = await fingerprintOf(client, admin, []);
      // One of the passwords as a secret of the stack's file.
      const key = `${foundationProject}:access.backup.password`;
      await stack.must("config", "rm", "--path", `${key}From`);
      await stack.must("config", "set", "--secret", "--path", key, stack.passwords["BACKUP"] ?? "");
      await stack.must("up", "--yes", "--skip-preview");
      const exported = await stack.must("stack", "export", "--show-secrets");
      expect(exported).to.contain("SCRAM-SHA-256").and.not.contain(stack.passwords["BACKUP"]);
      const before = await fingerprintOf(client, admin, []);
      const login = (key: string): Login => ({
        ...admin,
        user: `guardian_${key.toLowerCase()}`,
        password: stack.passwords[key] ?? "",
      });
      const as = {
        guardian_migrator: login("MIGRATOR"),
        guardian_operator: { ...admin, user: "alice" },
        guardian_auditor: login("AUDITOR"),
        guardian_backup: login("BACKUP"),
      };

      const planned = await withStack({ database: as.guardian_auditor }, (auditor) => auditor.preview());
      expect(planned.changes).to.deep.equal({ create: total });

      await withStack({ database: as.guardian_migrator }, async (migration) => {
        expect((await migration.up()).changes).to.deep.equal({ create: total });
        const modules = await Promise.all(moduleNames().map((name) => loadModule(name)));
        const sections = await tryRoles({ admin, as }, modules);
        const page = (await formatted(new Map([["roles.md", rolesPage(sections)]]))).get("roles.md");
        if (major === 17) expect(page).to.equal(readFileSync(join(root, "docs", "roles.md"), "utf8"));

        const up = await fingerprintOf(client, admin, []);
        const { folder } = migration;
        await withStack({ database: as.guardian_auditor, folder }, async (auditor) => {
          const seen = await auditor.preview({ flags: ["--refresh"] });
          expect(seen.changes).to.deep.equal({ refresh: total, same: total });
        });
        // Of the copy, since it is to fail.
        await withStack({ database: as.guardian_auditor, folder: keep(folder) }, async (auditor) => {
          auditor.set({ through: "schema" });
          expect((await auditor.preview()).changes).to.include({ delete: beyondSchema });
          const refused = await auditor.up({ expectFailure: true });
          expect(refused.output).to.match(/\[right-missing\]|permission denied/);
        });
        const checks = await verdicts(as.guardian_auditor, folder);
        const unheard = Object.entries(checks).flatMap(([check, verdict]) =>
          verdict === "could not run" ? check : [],
        );
        expect(unheard).to.deep.equal([
          // For these one must be a member of the API's roles, and could then write as any patient.
          ...["strangers", "sampled-users", "consent-flow", "document-pipeline", "notification-once", "fhir-build"],
          ...["flag-share", "patient-journey", "care-team-journey", "operations"],
          // They compare with a backup that was restored; of this stack they are listed only.
          ...["v6-rows", "v6-cells"],
        ]);
        expect(checks).to.deep.equal({
          ...(await verdicts(as.guardian_migrator, folder)),
          ...{ rights: "warned", transactions: "passed" },
        });
        await withClient(as.guardian_operator, (own) => own.query("SELECT public.assess_v6_installation()"));
        expect(differences(up, await fingerprintOf(client, admin, []))).to.deep.equal([]);

        await withClient(as.guardian_operator, (own) => own.query("SELECT public.emergency_rollback_to_v6()"));
        migration.set({ purge: "true", through: "infrastructure" });
        await migration.up();
        await migration.destroy();
      });
      expect(differences(before, await fingerprintOf(client, admin, []))).to.deep.equal([]);
      await stack.must("destroy", "--yes", "--skip-preview");
      expect(differences(untouched, await fingerprintOf(client, admin, []))).to.deep.equal([]);
    });
  });
});
