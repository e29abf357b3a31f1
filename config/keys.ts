import { record, ruled, type Values } from "../spec";
import { awsKeys } from "./aws";
import { backupKeys } from "./backup";
import { checkKeys } from "./checks";
import { connectionKeys, scratchKeys } from "./connection";
import { consentKeys } from "./consent";
import { besides, endpointKeys } from "./endpoints";
import { flagKeys, flagNames } from "./flags";
import { gateKeys } from "./gates";
import { ledgerKeys } from "./ledger";
import { operatorKeys } from "./operators";
import { publicationKeys } from "./publications";
import { checkRaw, meant, type Checked, type Raw } from "./raw";
import { lockKeys } from "./locks";
import { rolloutKeys } from "./rollout";
import { signOffKeys } from "./sign-off";
import { stageKeys, stages } from "./stages";

/** Every key below `guardian:`, one line a group. */
const keysWith = (flags: readonly string[], modules: readonly string[] | undefined) => ({
  ...stageKeys,
  ...connectionKeys,
  ...consentKeys,
  ...flagKeys(modules),
  ...rolloutKeys([...flagNames, ...flags]),
  ...backupKeys,
  ...gateKeys,
  ...lockKeys,
  ...ledgerKeys,
  ...publicationKeys,
  ...operatorKeys,
  ...scratchKeys,
  ...checkKeys,
  ...signOffKeys,
  ...endpointKeys,
  ...awsKeys,
});

type Keys = ReturnType<typeof keysWith>;

/** Everything that `guardian:*` says, with defaults filled in; what may be absent and is, is undefined. */
export type GuardianConfig = { [K in keyof Keys]: Values<Keys>[K] };

/**
 * The configuration as a whole: its keys, and what does not go together.
 * @param flags the names under guardian:flags
 * @param modules the folders of sql/; undefined: any name passes
 */
const configurationWith = (flags: readonly string[], modules: readonly string[] | undefined) =>
  ruled(record(keysWith(flags, modules), "The configuration of a stack."), (found) => {
    const { through } = found;
    const reachesData = through !== undefined && stages.indexOf(through) >= stages.indexOf("data");
    if (!reachesData || "legacyConsent" in found) return besides(found);
    const text =
      `is missing, and guardian:through ${through} reaches the data stage: say what becomes of` +
      ` users who never were asked, {mode: assumed | pending, legalBasis, statement}`;
    return [{ path: ["legacyConsent"], text }, ...besides(found)];
  });

/** The same of a stack that declares no flags, for who describes the keys. */
export const configuration = configurationWith([], undefined);

/**
 * Checks raw configuration.
 * @param secretKeys keys whose values must not be shown
 * @param modules the folders of sql/, which guardian:flags may name; undefined: any name passes
 */
export function validateConfig(
  raw: Raw,
  secretKeys: readonly string[] = [],
  modules?: readonly string[],
): Checked<GuardianConfig> {
  const root = "guardian:";
  // Whatever is wrong with a flag that is declared: that its percentage is not known besides helps nobody.
  const flags = meant(raw[`${root}flags`], configuration.fields.flags);
  const names = typeof flags === "object" && flags !== null ? Object.keys(flags) : [];
  return checkRaw(root, configurationWith(names, modules), raw, secretKeys) as Checked<GuardianConfig>;
}
