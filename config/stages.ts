import { choice, otherwise } from "../spec";

/** The stages in their order; `guardian:through` names the last one that is to be there. */
export const stages = ["infrastructure", "schema", "data", "deployment"] as const;
export type Stage = (typeof stages)[number];

export const stageKeys = {
  through: otherwise(
    "deployment",
    choice(stages, "The last stage that is to be there. Lowering it rolls the later stages back, in reverse."),
  ),
};
