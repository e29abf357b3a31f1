import { define } from "../define";
import { sqlModuleSpec } from "./spec";

/** See `sqlModuleSpec` for what it takes and gives. */
export class SqlModule extends define(sqlModuleSpec) {}
