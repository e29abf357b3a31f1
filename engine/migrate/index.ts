/** Data migrations: rows of v6 that move into a table of v7 online, and back again. */
export { planMove } from "./plan";
export { moveRows, type MoveOptions } from "./move";
export { readMoved, type Moved } from "./recorded";
/** @lazily */
export { abandoned, takeBackAbandoned } from "./undo";
export { takeBackForgotten, takeBackRows, type TakenBack } from "./undo";
