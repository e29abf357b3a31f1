import { define } from "../define";
import { dataMigrationSpec } from "./spec";

/** See `dataMigrationSpec` for what it takes and gives. */
export class DataMigration extends define(dataMigrationSpec) {}
