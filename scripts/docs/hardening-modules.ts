import { held, open, type Finding } from "./finding";

const consents = "sql/004_enhanced_consent_ends.test.ts";
const servers = "sql/003_fhir_servers.test.ts";
const refused = "engine/module/refused.test.ts";

/** What users of the modules, and callers of their functions, broke. */
export const moduleFindings: readonly Finding[] = [
  held(
    "16-9",
    "140 MB in two columns: the patient's account could not be deleted (54000)",
    "Every column that a user can write has a bound, listed in docs/bounds.md",
    "sql/bounds.test.ts: 16-9",
  ),
  held(
    "16-9",
    "Audits made JSON of the whole row",
    "They read keys and columns only",
    "sql/000_audit_log.test.ts: 16-9",
    "sql/004_enhanced_consent_audit.test.ts: 16-9",
  ),
  held(
    "16-9",
    "One bad row stopped a job for everybody",
    "It is passed over, noted by key and counted",
    "sql/jobs.test.ts: 16-9",
  ),
  held(
    "16-10",
    "Who was removed from a collaboration joined it again; admission was decided by the snapshot from before the lock",
    "Every function that locks and then acts decides after the lock, in a new statement",
    "sql/locking.test.ts: 16-10",
  ),
  held(
    "16-10",
    "A flag that somebody was switching on survived the emergency rollback",
    "All flags are locked first; a stack asks for a rollback once it holds the flag",
    "sql/009_operations.test.ts: 16-10",
    "engine/flags.test.ts: 16-10",
  ),
  held(
    "16-12",
    "`https://other.example/Patient/p1` was taken for the own source's p1; Clinic and CLINIC were two sources",
    "A reference is resolved by its server or refused; sources are compared without case",
    `${servers}: a reference is resolved`,
    `${servers}: a source is the same`,
  ),
  held(
    "16-12",
    "A CHECK's DETAIL printed the plaintext secret",
    "The error holds no value",
    `${servers}: no error of a function`,
  ),
  held(
    "16-12",
    "Periods with infinite and BC dates",
    "Builders leave them out, import refuses them",
    `${servers}: no period`,
  ),
  held(
    "16-13",
    "A consent that ended while a transaction was open opened access in it",
    "Access is decided as of the statement",
    `${consents}: a consent that ends while`,
    `${consents}: no function or view`,
  ),
  held(
    "16-13",
    "Auto-renew revived what ended on a day that somebody chose; infinity was taken",
    "Only an end that nobody chose is put off; infinity is refused",
    `${consents}: what ends on a day`,
    `${consents}: infinity`,
  ),
  held(
    "16-13",
    "Deleted and impossible accounts got consents and messages, and `288 of 288` hid them",
    "They are left out and counted by reason, in preview, ledger and log",
    "engine/migrate/consents.test.ts: 16-13",
    "sql/007_notification_queue_delivery.test.ts: 16-13",
  ),
  held(
    "16-13",
    "Zones such as `Japan` became UTC",
    "Every zone of the server is taken",
    "sql/005_user_preferences.test.ts: 16-13",
  ),
  open(
    "16-14",
    "CR and LF in addresses, who may finalise whose note, lease_token readable to service_role, anon on NOTIFY channels, oracles by 23503 and by invitation, flags that 001 does not know, what an erasure leaves",
    "not begun",
  ),
  held(
    "16-15",
    "An archived row that a new bound refuses failed every `up`",
    "It stays in the archive, counted and named by key, and whatever refers to it with it; all else comes back",
    refused,
    "provider/refused.test.ts: 16-15",
  ),
  held(
    "16-15",
    "A revocation that waits in the archive would have got an assumed consent beside it",
    "The migration takes a waiting row for one that is there",
    `${refused}: who revoked a consent`,
  ),
];
