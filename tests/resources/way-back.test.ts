import { expect } from "chai";
import { stages, stageType } from "../../config/stages";
import type { DatabaseCall } from "../../resources/call";
import { comesAfter } from "../../resources/way-back";

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
});
