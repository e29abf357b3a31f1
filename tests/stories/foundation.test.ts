import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { foundationProject } from "../../config/foundation";
import { startServer, type Server } from "../../engine/server/server";
import { createOwned } from "../../scripts/roles/database";
import { findEngine } from "../../scripts/pulumi/engine";
import { allOnPath } from "../../scripts/pulumi/paths";
import { programOf } from "../../scripts/pulumi/program";
import { pulumi } from "../../scripts/pulumi/run";
import { environment } from "../../scripts/stack/backend";
import { withClient, type Login } from "../../scripts/v6/database";
import { major } from "../support/major";
import { root } from "../support/plugin";
import { skip } from "../support/skip";
import { differences, fingerprintOf } from "../support/story";

const plugin = "pulumi-resource-postgresql";

/** A stack of foundation/ on the real engine, with the plugin that is on PATH. */
class Foundation {
  readonly passwords: Record<string, string> = {
    MIGRATOR: "the-first-of-migrator",
    AUDITOR: "the-first-of-auditor",
    BACKUP: "the-first-of-backup",
  };

  constructor(
    private readonly folder: string,
    private readonly engine: string,
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
    const env = environment(backend, { ADMIN: this.admin.password, ...this.passwords });
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

describe("foundation/, with the plugin of PostgreSQL", function () {
  this.timeout(300_000);
  let server: Server | undefined;
  let folder: string | undefined;
  let stack: Foundation;
  let admin: Login;

  before(async function () {
    if (allOnPath(plugin, process.env).length === 0) {
      skip(this, `no ${plugin} on PATH: a download of Pulumi's, or built by Go (CONTRIBUTING.md)`);
    }
    server = await startServer({ major, inMemory: true });
    admin = await createOwned(server, "foundation", 20);
    await withClient(admin, (client) => client.query("CREATE ROLE alice LOGIN"));
    folder = mkdtempSync(join(tmpdir(), "guardian-foundation-"));
    stack = new Foundation(folder, (await findEngine({ log: { line: () => undefined } })).path, admin);
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
        return rows.map(({ line }) => line).filter((line) => line.includes("guardian_"));
      };
      const members = [
        "alice in guardian_operator",
        ...["auditor", "backup", "migrator"].map((role) => `guardian_${role} in pg_read_all_data`),
      ];

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
});
