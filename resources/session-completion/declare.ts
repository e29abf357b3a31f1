import { define } from "../define";
import { sessionCompletionSpec } from "./spec";

/** See `sessionCompletionSpec` for what it takes and gives. */
export class SessionCompletion extends define(sessionCompletionSpec) {}
