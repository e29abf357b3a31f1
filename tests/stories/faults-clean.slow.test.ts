import { expect } from "chai";
import { chmodSync, readdirSync } from "node:fs";
import { main, type Around } from "../../scripts/faults/main";
import { gateChecks } from "../../spec/gates";
import { faults } from "../support/faults";
import { withFolder } from "../support/folder";

/** What is read of the last line. */
interface Figures {
  clean: number;
  runs: number;
  failed: number;
  checks: Record<string, Record<string, Record<string, number>>>;
  upSeconds: { median: number | null };
  transactions: number;
  refused: Record<string, number>;
}

describe("npm run faults -- --clean", function () {
  this.timeout(600_000);

  /** One run with a defect in its v6. */
  async function planted(sql: string): Promise<{ code: number; figures: Figures; said: string[] }> {
    const [printed, said]: [string[], string[]] = [[], []];
    const around: Around = {
      print: (line) => void printed.push(line),
      say: (line) => void said.push(line),
      signal: new AbortController().signal,
      plant: async (client) => {
        await client.query(sql);
      },
    };
    const code = await main(["--clean", "1", "--users", "100"], around);
    expect(printed[0], said.join("\n")).to.match(
      /^ +gate +check +passed +warned +failed +could not run +not applicable +most \(s\)$/,
    );
    return { code, figures: JSON.parse(printed.at(-1) ?? "") as Figures, said };
  }

  it("19-3: a run beside an application that reads, writes and deletes: every check of every gate is asked, none fails", async () => {
    return withFolder(async (folder) => {
      chmodSync(folder, 0o755);
      const { code, stdout, stderr } = await faults(["--clean", "1", "--users", "100", "--json"], folder);
      expect(code, stderr).to.equal(0);
      const { checks, upSeconds, transactions, ...rest } = JSON.parse(stdout) as Figures;
      expect(checks["end"]?.["document-pipeline"], "somebody has a document").to.deep.equal({ passed: 1 });
      expect(rest, stderr).to.deep.include({ clean: 1, runs: 1, failed: 0, refused: {} });
      for (const [gate, names] of Object.entries(gateChecks)) {
        expect(Object.keys(checks[gate] ?? {}), gate).to.have.members([...names]);
        for (const counts of Object.values(checks[gate] ?? {})) expect(Object.values(counts)).to.deep.equal([1]);
      }
      expect(checks["data"]).to.deep.include({ "v6-rows": { passed: 1 }, "v6-cells": { passed: 1 } });
      expect(upSeconds.median).to.be.above(1);
      expect(transactions).to.be.at.least(50);
      expect(readdirSync(folder).filter((name) => !name.startsWith("tsx-"))).to.deep.equal([]);
    });
  });

  it("19-3: a gate that fails is counted and told, and the exit code is 1", async () => {
    const { code, figures, said } = await planted("ALTER ROLE authenticated BYPASSRLS");
    expect(code).to.equal(1);
    expect(figures, said.join("\n")).to.deep.include({ clean: 0, runs: 1, failed: 3, refused: {} });
    for (const check of ["permissions", "consent-flow", "document-pipeline"])
      expect(figures.checks["schema"]?.[check], check).to.deep.equal({ failed: 1 });
    expect(Object.keys(figures.checks)).to.deep.equal(["before", "schema"]);
    expect(figures.upSeconds.median).to.equal(null);
    const fault = /✗ gate schema, permissions failed: authenticated has BYPASSRLS: row security does not stop it/;
    expect(
      said.some((line) => fault.test(line)),
      said.join("\n"),
    ).to.equal(true);
  });

  it("19-3: an application that is refused what it does is no clean run either, though no gate fails", async () => {
    const { code, figures, said } = await planted(
      "ALTER TABLE public.patient_lab_results ADD CONSTRAINT refusing CHECK (test_name <> 'Load')",
    );
    expect(code).to.equal(1);
    expect(figures, said.join("\n")).to.deep.include({ clean: 0, failed: 0 });
    expect(figures.refused["23514"]).to.be.at.least(1);
  });
});
