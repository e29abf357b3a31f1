export * from "./check";
export { pulumiCommand, workOn } from "./command";
export { edits, nearest } from "./nearest";
export * from "./resource";
export * from "./shape";
