import { define } from "../define";
import { backupSpec } from "./spec";

/** See `backupSpec` for what it takes and gives. */
export class Backup extends define(backupSpec) {}
