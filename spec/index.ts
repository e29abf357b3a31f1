export * from "./check";
export { pulumiCommand } from "./command";
export { nearest } from "./nearest";
export * from "./resource";
export * from "./shape";
