import { expect } from "chai";
import { stages, stageType } from "../../config/stages";
import type { DatabaseCall } from "../../resources/call";
import type { Step } from "../../engine/ledger/steps";
import { comesAfter, goesBack } from "../../resources/way-back";

describe("resources: the way back", () => {
  const urn = (stage: (typeof stages)[number], stack = "prod"): string =>
    `urn:pulumi:${stack}::guardian::${stageType(stage)}$guardian:index:SqlModule::any`;
  const call = { urn: urn("data") } as DatabaseCall;

  it("what comes after a stage is of a later one, and of this stack: the last wanted stage stays", () => {
    for (const [at, through] of stages.entries()) {
      const after = comesAfter(call, through);
      expect(stages.filter((stage) => after(urn(stage)))).to.deep.equal(stages.slice(at + 1));
      expect(stages.filter((stage) => after(urn(stage, "staging")))).to.deep.equal([]);
    }
  });

  it("a run goes back where something of a later stage stands, or half stands; what was taken back whole does not", async () => {
    const back = (step: Partial<Step>): Promise<boolean> => {
      const steps = [{ urn: urn("data"), detail: {}, ...step } as Step];
      return goesBack({ ...call, host: { steps: () => Promise.resolve(steps) } } as unknown as DatabaseCall, "schema");
    };
    const moved = { kind: "DataMigration", detail: { begun: true } } as Partial<Step>;
    for (const state of ["done", "undoing"] as const)
      expect(await back({ kind: "SqlModule", state }), state).to.equal(true);
    for (const state of ["planned", "running", "undone"] as const)
      expect(await back({ kind: "SqlModule", state }), state).to.equal(false);
    expect(await back({ ...moved, state: "running" })).to.equal(true);
    expect(await back({ ...moved, state: "undone" })).to.equal(false);
    expect(await back({ ...moved, state: "done", urn: urn("schema") })).to.equal(false);
    expect(await goesBack(call, undefined)).to.equal(false);
  });
});
