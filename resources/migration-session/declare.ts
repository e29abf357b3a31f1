import { define } from "../define";
import { migrationSessionSpec } from "./spec";

/** See `migrationSessionSpec` for what it takes and gives. */
export class MigrationSession extends define(migrationSessionSpec) {}
