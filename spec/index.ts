export * from "./check";
export { nearest } from "./nearest";
export * from "./resource";
export * from "./shape";
