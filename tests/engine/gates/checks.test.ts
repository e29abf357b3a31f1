import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { expect } from "chai";
import { Database } from "../../../engine/database";
import { gates } from "../../../engine/gates";
import { readinessOf, runCheck, type Check, type Outcome } from "../../../engine/gates/check";
import { gateChecks } from "../../../spec/gates";
import { root } from "../../support/plugin";
import { withV6 } from "../../support/postgres";
import { settingsOf } from "../module/harness";
import { all, asked, declared } from "./asked";

const load = createRequire(__filename);

const isCheck = (found: unknown): found is Check =>
  typeof found === "object" && found !== null && ["name", "asks", "cost", "run"].every((key) => key in found);

/** The checks that each file in the folders of engine/gates has, by the file's name. */
function onDisk(): (readonly [file: string, check: Check])[] {
  const folder = join(root, "engine", "gates");
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const files = folders.flatMap(({ name }) =>
    readdirSync(join(folder, name), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(folder, name, entry.name)),
  );
  return files.flatMap((file) =>
    Object.values(load(file) as Record<string, unknown>)
      .filter(isCheck)
      .map((check) => [basename(file, ".ts"), check] as const),
  );
}

describe("gates: their checks", function () {
  this.timeout(60_000);

  it("19-1 has a name for each check, and each once", () => {
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^[a-z][a-z0-9-]*$/);
  });

  it("19-1 has one file a check, named as the check is, and each of these at a gate", () => {
    const found = onDisk();
    expect(found.map(([file]) => file)).to.deep.equal(found.map(([, { name }]) => name));
    expect(found.map(([file]) => file).sort()).to.deep.equal(all.map(({ name }) => name).sort());
    for (const [file, check] of found) expect(all, file).to.include(check);
  });

  it("19-1 has every check of a gate under the name that the program declares, and in that order", () => {
    const names = Object.fromEntries(Object.entries(gates).map(([gate, of]) => [gate, of.map(({ name }) => name)]));
    expect(names).to.deep.equal(gateChecks);
  });

  it("19-1 has a check that could not run for a warning, and never for passed", () => {
    const of = (...verdicts: Outcome["verdict"][]) => readinessOf(verdicts.map((verdict) => ({ verdict })));
    expect(of("passed", "not applicable")).to.equal("ready");
    expect(of("passed", "could not run")).to.equal("ready with warnings");
    expect(of("warned", "passed")).to.equal("ready with warnings");
    expect(of("could not run", "failed")).to.equal("not ready");
  });

  it("19-1 tells why a check could not run, without a row's value, and goes on", () =>
    withV6(async (db) => {
      const host = new Database(settingsOf(db.migrator));
      const broken: Check = {
        name: "broken",
        asks: "",
        cost: "catalogue",
        run: async ({ db: session }) => {
          await session.query("SELECT ($1::text)::int", ["secret of a patient"]);
          throw new Error("not reached");
        },
      };
      try {
        const said = await runCheck(broken, host, declared);
        expect(said.verdict).to.equal("could not run");
        expect(said.evidence.join())
          .to.match(/22P02/)
          .and.not.match(/secret/);
        expect((await asked(db.migrator, "v6")).verdict).to.equal("passed");
      } finally {
        await host.close();
      }
    }));
});
