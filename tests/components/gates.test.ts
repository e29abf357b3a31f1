import { expect } from "chai";
import { gateChecks, gateNames } from "../../spec/gates";
import { consent, raw } from "../support/config";
import { declaredIn, type DeclaredResource } from "../support/declared";

/** What the stack's own program declares with this configuration. */
async function program(config: Record<string, unknown>): Promise<DeclaredResource[]> {
  const outputs = ({ type, name }: { type: string; name: string }): Record<string, unknown> => ({
    ...{ ledgerId: "l", sessionId: "s", path: "p", proof: "proven", meaning: `${name} means` },
    ...(type.endsWith(":Backup") ? { protects: { "000_audit_log": "it means" } } : {}),
  });
  const call = (): Record<string, unknown> => ({ server: "PostgreSQL", items: [], told: [] });
  const own = raw({ legacyConsent: consent, ...config });
  const { resources } = await declaredIn(".", { project: "guardian", stack: "dev", config: own }, { outputs, call });
  return resources.filter(({ type }) => type.startsWith("guardian-migration:"));
}

const kindOf = ({ type }: DeclaredResource): string => type.split(":").at(-1) ?? "";

describe("components: the gates", function () {
  this.timeout(120_000);

  it("19-1 stand between the stages: nothing of a stage is begun before the gate ahead of it, and the session ends after the last", async () => {
    const resources = await program({});
    const needs = new Map(resources.map(({ type, name, options }) => [`${type} ${name}`, options.dependsOn ?? []]));
    const reaches = (from: string, seen = new Set<string>()): Set<string> => {
      for (const to of needs.get(from) ?? []) if (!seen.has(to)) reaches(to, seen.add(to));
      return seen;
    };
    const behind = (gate: string): string[] =>
      resources
        .filter(({ type, name }) => reaches(`${type} ${name}`).has(`guardian-migration:index:Gate gate-${gate}`))
        .map(({ name }) => name);
    const kinds = (...of: string[]): string[] =>
      resources.filter((one) => of.includes(kindOf(one))).map(({ name }) => name);
    const modules = kinds("SqlModule");
    const rest = [...kinds("DataMigration"), "gate-data", ...kinds("FeatureFlag"), "gate-end", "completion"];
    expect(behind("before")).to.have.members([...modules, "session", "gate-schema", ...rest]);
    expect(behind("schema")).to.have.members(rest);
    expect(behind("data")).to.have.members([...kinds("FeatureFlag"), "gate-end", "completion"]);
    expect(behind("end")).to.deep.equal(["completion"]);
    expect(reaches("guardian-migration:index:Gate gate-before")).to.include("guardian-migration:index:Backup backup");
    expect(reaches("guardian-migration:index:Gate gate-end")).to.include.members(
      kinds("FeatureFlag").map((name) => `guardian-migration:index:FeatureFlag ${name}`),
    );
  });

  it("19-1 are named to what comes after them, which asks the ledger by itself", async () => {
    const resources = await program({});
    const behind = (kind: string): unknown[] => [
      ...new Set(resources.filter((one) => kindOf(one) === kind).map(({ inputs }) => JSON.stringify(inputs["behind"]))),
    ];
    const kinds = ["SqlModule", "DataMigration", "FeatureFlag", "SessionCompletion"].map((kind) => [
      kind,
      behind(kind),
    ]);
    expect(Object.fromEntries(kinds)).to.deep.equal({
      SqlModule: ['["before"]'],
      DataMigration: ['["before","schema"]'],
      FeatureFlag: ['["schema","data"]'],
      SessionCompletion: ['["end"]'],
    });
  });

  it("19-1 are given what they judge, the limits, and of what is accepted what is theirs", async () => {
    const accept = { "row-security": "known", "backup/public.t": "known too" };
    const resources = await program({
      accept,
      through: "deployment",
      rollout: { telehealth_: 0, fhir_integration: 10 },
      flags: { telehealth_: { description: "Visits by video" } },
      gates: { maxDataLoss: 0 },
    });
    const gates = resources.filter((one) => kindOf(one) === "Gate");
    expect(gates.map(({ inputs }) => inputs["gate"])).to.deep.equal([...gateNames]);
    const [before, schema, data, end] = gates.map(({ inputs }) => inputs) as [Bag, Bag, Bag, Bag];
    expect(before["judges"]).to.deep.equal({ "000_audit_log": "it means" });
    expect(before).not.to.have.any.keys("accept", "rollout");
    expect(schema["accept"]).to.deep.equal({ "row-security": "known" });
    expect(schema["checks"]).to.deep.equal([...gateChecks.schema]);
    expect(schema["limits"]).to.deep.equal({ maxDataLoss: 0, warnSlowdown: 0.1, maxSlowdown: 0.25 });
    const modules = resources.filter((one) => kindOf(one) === "SqlModule").map(({ name }) => name);
    expect(schema["judges"]).to.deep.equal(Object.fromEntries(modules.map((name) => [name, `${name} means`])));
    expect(data["judges"]).to.include({ consents: "consents means" });
    expect(end["judges"]).to.deep.equal(data["judges"]);
    expect(end["rollout"]).to.deep.equal({ fhir_integration: 10 });
    for (const gate of [before, schema, data, end]) expect(gate).not.to.have.any.keys("signOff", "endpoints");
    const backup = resources.find((one) => kindOf(one) === "Backup");
    expect(backup?.inputs["accept"]).to.deep.equal({ "backup/public.t": "known too" });
  });

  it("19-8 are given what was signed off, and what must respond, where they have a check of it", async () => {
    const signed = { by: "A. Lovelace", on: "2026-11-30", note: "a course of two days" };
    const endpoints = [{ url: "https://api.example.org/health", status: 200, header: "env:API_HEADER" }];
    const given = async (config: Record<string, unknown>): Promise<unknown[]> => {
      const gates = (await program(config)).filter((one) => kindOf(one) === "Gate");
      return gates.map(({ inputs }) => [inputs["signOff"], inputs["endpoints"]]);
    };
    const course = { "support-trained": signed };
    expect(await given({ endpoints, signOff: course })).to.deep.equal([
      [undefined, endpoints],
      [undefined, undefined],
      [undefined, undefined],
      [course, endpoints],
    ]);
    expect(await given({ signOff: { "api-endpoints": signed } })).to.deep.include([
      { "api-endpoints": signed },
      undefined,
    ]);
  });
});

type Bag = Record<string, unknown>;
