import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Client } from "pg";
import { clone, demo, hostile, tellsAll } from "./demo-run";

describe("npm run demo", function () {
  this.timeout(600_000);

  it("migrates, finds nothing to do, rolls back, purges, and is as before, whatever the user's own settings are", async () => {
    const { left, processes, ...ended } = await demo(["--users", "300", "--json"], hostile);
    tellsAll(ended);
    expect(ended.stderr).to.match(/identical: yes, archive and ledger aside\n[^]*identical: yes, nothing aside\n/);
    expect(left).to.deep.equal([]);
    expect(processes).to.deep.equal([]);
  });

  it("with --keep, after all it tells, leaves a server and a stack that can be used, and says how to stop them", async () => {
    const { folder, left, ...ended } = await demo(["--users", "300", "--json", "--keep"], hostile);
    try {
      tellsAll(ended);
      expect(left).to.have.length(1);
      const place = join(folder, left[0]!);
      const [, port] = /PostgreSQL on 127\.0\.0\.1:(\d+)/.exec(ended.stderr)!;
      const stop = /stop and remove +sh '(.*)'$/m.exec(ended.stderr)![1]!;
      expect(stop).to.equal(join(place, "stop"));
      const login = { host: "127.0.0.1", port: Number(port), database: "guardian", user: "guardian_migrator" };
      const client = new Client({ ...login, password: readFileSync(join(place, "password"), "utf8") });
      await client.connect();
      const { rows } = await client.query(
        "SELECT rows::int FROM guardian_migration.archived WHERE original = 'public.patient_consents'",
      );
      await client.end();
      expect(rows).to.deep.equal([{ rows: 1 }]);
      // What the file of variables says is enough for the CLI.
      const shell = `. "$0/env" && exec node --require tsx/cjs scripts/pulumi/cli.ts -C "$DEMO" stack ls --json`;
      const listed = spawnSync("sh", ["-c", shell, place], { cwd: clone, encoding: "utf8" });
      expect(JSON.parse(listed.stdout), listed.stderr)
        .to.deep.include.members([])
        .with.nested.property("[0].name", "demo");
      expect(spawnSync("sh", [stop]).status).to.equal(0);
      expect(existsSync(place)).to.equal(false);
      const gone = await new Client({ ...login, password: "" })
        .connect()
        .catch((err: unknown) => (err as { code?: string }).code);
      expect(gone).to.equal("ECONNREFUSED");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
