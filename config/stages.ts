import { choice, optional, otherwise } from "../spec";

/** The stages in their order; `guardian:through` names the last one that is to be there. */
export const stages = ["infrastructure", "schema", "data", "deployment"] as const;
export type Stage = (typeof stages)[number];

/** The type of a stage's component, which stands in the URN of whatever is in it. */
export const stageType = (stage: Stage): string => `guardian:stage:${stage.charAt(0).toUpperCase()}${stage.slice(1)}`;

export const stageKeys = {
  through: otherwise(
    "deployment",
    choice(stages, "The last stage that is to be there. Lowering it rolls the later stages back, in reverse."),
  ),
};

/** The input by which a resource that stays can tell whether others are to go. */
export const throughInput = {
  through: optional(
    choice(stages, "The last stage that is to be there: while a later one goes, what stays is judged with patience."),
  ),
};
