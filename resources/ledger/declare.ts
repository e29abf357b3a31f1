import { define } from "../define";
import { ledgerSpec } from "./spec";

/** See `ledgerSpec` for what it takes and gives. */
export class Ledger extends define(ledgerSpec) {}
