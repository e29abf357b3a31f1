/** Data migrations: rows of v6 that move into a table of v7 online, and back again. */
export { planMove, type Planned } from "./plan";
export { moveRows, type MoveOptions } from "./move";
export { readMoved, type Moved } from "./recorded";
export { abandoned, takeBackAbandoned, takeBackForgotten, takeBackRows, type TakenBack } from "./undo";
