import { define } from "../define";
import { featureFlagSpec } from "./spec";

/** See `featureFlagSpec` for what it takes and gives. */
export class FeatureFlag extends define(featureFlagSpec) {}
