import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync } from "node:fs";
import type { Life } from "../../scripts/faults/life";
import { main } from "../../scripts/faults/main";
import { faults } from "../support/faults";
import { withFolder } from "../support/folder";

describe("npm run faults", function () {
  this.timeout(900_000);

  it("20 kills of CLI, plugin, backend and server: each run ends as an undisturbed one, and nothing is left", async () => {
    return withFolder(async (folder) => {
      chmodSync(folder, 0o755);
      const { code, stdout, stderr } = await faults(
        ["--kills", "20", "--seed", "1", "--users", "300", "--json"],
        folder,
      );
      expect(code, stderr).to.equal(0);
      const figures: unknown = JSON.parse(stdout);
      expect(figures).to.deep.equal({ kills: 20, lost: 0, twice: 0, converged: true, maxLostRows: 0 });
      // A kill can fall between two batches.
      expect(Number(/moved in (\d+) batches/.exec(stderr)?.[1]), stderr).to.be.at.least(20);
      expect(Number(/v6 committed (\d+) transactions/.exec(stderr)?.[1]), stderr).to.be.at.least(20);
      for (const victim of ["CLI", "plugin", "backend", "server"]) expect(stderr).to.contain(`  ${victim}  `);
      expect(readdirSync(folder).filter((name) => !name.startsWith("tsx-"))).to.deep.equal([]);
      const { stdout: processes } = spawnSync("ps", ["-ewwo", "pid,args"], { encoding: "utf8" });
      expect(processes.split("\n").filter((line) => line.includes(folder))).to.deep.equal([]);
    });
  });

  it("17-4 8 kills, half of them in the proof of a backup and of its scratch server", async () => {
    return withFolder(async (folder) => {
      chmodSync(folder, 0o755);
      const args = ["--kills", "8", "--seed", "p", "--users", "300", "--proof", "--json"];
      const { code, stdout, stderr } = await faults(args, folder);
      expect(code, stderr).to.equal(0);
      expect(JSON.parse(stdout)).to.deep.equal({ kills: 8, lost: 0, twice: 0, converged: true, maxLostRows: 0 });
      expect(stderr)
        .to.match(/the proof of its backup \d+ ms/)
        .and.to.contain("  backup proof running  ");
    });
  });

  it("a row that is gone and one that is there twice are counted, and the exit code is 1", async () => {
    let planted = 0;
    const plant = (life: Life): Promise<void> =>
      life.with(async (client) => {
        if (life.stand !== "v7" || planted > 0) return;
        const first = "(SELECT user_id FROM public.user_preferences ORDER BY user_id LIMIT 1)";
        planted += (await client.query(`DELETE FROM public.user_preferences WHERE user_id = ${first}`)).rowCount ?? 0;
        const twin = await client.query(
          `INSERT INTO public.patient_consents (patient_id, consent_type, purpose, legal_basis, consent_metadata)
           SELECT patient_id, consent_type, purpose, legal_basis, '{"state": "refused"}' FROM public.patient_consents
           ORDER BY patient_id LIMIT 1`,
        );
        planted += twin.rowCount ?? 0;
      });
    const [printed, said]: [string[], string[]] = [[], []];
    const code = await main(["--kills", "1", "--seed", "2", "--users", "100"], {
      print: (line) => void printed.push(line),
      say: (line) => void said.push(line),
      signal: new AbortController().signal,
      tamper: plant,
    });
    expect(planted).to.equal(2);
    const figures: unknown = JSON.parse(printed.at(-1) ?? "");
    expect(figures, said.join("\n")).to.deep.equal({ kills: 1, lost: 1, twice: 1, converged: false, maxLostRows: 1 });
    expect(said).to.include("  ✗ public.user_preferences: 1 rows lost or changed");
    expect(said).to.include("  ✗ public.patient_consents: 1 rows there twice");
    expect(printed[0]).to.match(/^ +operation +way +killed +at \(s\) +step +tries +seconds +equal$/);
    expect(code).to.equal(1);
  });
});
