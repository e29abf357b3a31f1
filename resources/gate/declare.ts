import { define } from "../define";
import { gateSpec } from "./spec";

/** See `gateSpec` for what it takes and gives. */
export class Gate extends define(gateSpec) {}
