import { record, ruled, type Values } from "../spec";
import { backupKeys } from "./backup";
import { connectionKeys } from "./connection";
import { consentKeys } from "./consent";
import { gateKeys } from "./gates";
import { ledgerKeys } from "./ledger";
import { publicationKeys } from "./publications";
import { lockKeys } from "./locks";
import { rolloutKeys } from "./rollout";
import { stageKeys, stages } from "./stages";

/** Every key below `guardian:`, one line a group. */
const keys = {
  ...stageKeys,
  ...connectionKeys,
  ...consentKeys,
  ...rolloutKeys,
  ...backupKeys,
  ...gateKeys,
  ...lockKeys,
  ...ledgerKeys,
  ...publicationKeys,
};

/** Everything that `guardian:*` says, with defaults filled in; what may be absent and is, is undefined. */
export type GuardianConfig = { [K in keyof typeof keys]: Values<typeof keys>[K] };

/** The configuration as a whole: its keys, and what does not go together. */
export const configuration = ruled(record(keys, "The configuration of a stack."), (found) => {
  const { through } = found;
  const reachesData = through !== undefined && stages.indexOf(through) >= stages.indexOf("data");
  if (!reachesData || "legacyConsent" in found) return [];
  const text =
    `is missing, and guardian:through ${through} reaches the data stage: say what becomes of` +
    ` users who never were asked, {mode: assumed | pending, legalBasis, statement}`;
  return [{ path: ["legacyConsent"], text }];
});
