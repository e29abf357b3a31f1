import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { gates } from "../../../engine/gates";
import type { Outcome } from "../../../engine/gates/check";
import { main } from "../../../scripts/gates";
import { clientFolder } from "../../../scripts/pg-clients";
import { major, withV6 } from "../../support/postgres";

describe("gates: the command", function () {
  this.timeout(120_000);

  it("19-2 is a command: what is ready, exit codes, one object on the last line", () =>
    withV6(async (db) => {
      const folder = mkdtempSync(join(tmpdir(), "guardian-gates-"));
      const { host, port, user, password, database } = db.migrator;
      writeFileSync(
        join(folder, "Pulumi.night.yaml"),
        `config:\n  guardian:through: schema\n  guardian:database: {host: ${host}, port: ${port}, user: ${user}, database: ${database}}\n`,
      );
      const run = async (...args: string[]): Promise<{ code: number; said: string; printed: string[] }> => {
        const [said, printed]: [string[], string[]] = [[], []];
        const around = {
          clone: folder,
          env: { ...process.env, GUARDIAN_PG_BIN: await clientFolder(major), PGPASSWORD: password },
          say: (line: string) => void said.push(line),
          print: (line: string) => void printed.push(line),
        };
        const code = await main(["--stack", "night", ...args], around);
        return { code, said: said.join("\n"), printed };
      };
      try {
        const ready = await run("--json", "--stage", "before");
        const told = JSON.parse(ready.printed[0] ?? "") as { verdict: string; checks: Outcome[] };
        expect(told.checks.map(({ check }) => check)).to.deep.equal(gates.before.map(({ name }) => name));
        expect([ready.code, told.verdict], ready.said).to.deep.equal([3, "ready with warnings"]);
        expect(ready.said).to.match(/could not run {3}transactions: .*\n +→ GRANT pg_read_all_stats/);
        const admin = await db.connect("admin");
        await admin.query("ALTER TABLE public.patient_vitals DISABLE ROW LEVEL SECURITY");
        const broken = await run();
        expect([broken.code, broken.printed], broken.said).to.deep.equal([1, []]);
        expect(broken.said).to.match(/^failed .*v6: public.patient_vitals lacks row security/m);
        expect(broken.said).to.match(/\nnot ready: /);
        expect((await run("--stage", "after")).code).to.equal(2);
        expect(broken.said + ready.said).not.to.include(password);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }));
});
