/** Data migrations: rows of v6 that move into a table of v7 online, and back again. */
export type { MoveOptions } from "./context";
export { moveRows } from "./move";
export { planMove } from "./preview";
export { readMoved, type Moved } from "./recorded";
/** @lazily */
export { abandoned, takeBackAbandoned } from "./take-back";
export { takeBackForgotten, takeBackRows, type TakenBack } from "./take-back";
