import { held, type Finding } from "./finding";

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
  held(
    "16-14",
    "CR and LF in an address, a title or a name became a header of its own",
    "No text that may go into a line of a protocol takes a control character; it is refused before anything is written, without its value",
    "sql/lines.test.ts: 16-14",
  ),
  held(
    "16-14",
    "Any editor finalized anybody's note",
    "Its author or the session's owner does, judged after the lock",
    "sql/008_realtime_collaboration_notes.test.ts: 16-14 a note is finalized",
  ),
  held(
    "16-14",
    "lease_token was readable to all of service_role, so that one worker could end another's work",
    "The table has a digest; only the claim tells the token",
    "sql/told.test.ts: 16-14 a lease's token",
  ),
  held(
    "16-14",
    "anon heard ids and versions on a NOTIFY channel",
    "One constant channel without payload: a hint to look",
    "sql/told.test.ts: 16-14 a notification",
    "sql/008_realtime_collaboration_notes.test.ts: 16-14 who listens",
  ),
  held(
    "16-14",
    "Inviting an id told, by 23503, whether it is an account",
    "The same SQLSTATE, message and rows for another's id and nobody's; each key and function is tried from the catalogue",
    "sql/oracles.test.ts: 16-14",
    "sql/008_realtime_collaboration.test.ts: 16-14",
  ),
  held(
    "16-14",
    "A flag that module 001 does not know could not be added to a stack that is up",
    "`guardian:flags` declares it; the resource makes and removes its row, rollout stays strict, rows of others are left",
    "provider/declared-flags.test.ts: 16-14",
    "config.test.ts: 16-14",
  ),
  held(
    "16-14",
    "A row of a flag that was made during an emergency rollback would have stayed on",
    "Making it waits for the rollback, and is refused",
    "engine/flags.test.ts: 16-14",
  ),
  held(
    "16-14",
    "Nobody knew what an erasure leaves: names in errors of jobs, in unlinked HL7 messages, in addresses of FHIR calls",
    "Every column of every schema is decided on, docs/erasure.md says why what stays does; the archive too",
    "sql/erasure.test.ts: 16-14",
  ),
  held(
    "16-14",
    "Addresses and ids of FHIR calls named patients after an erasure",
    "The route and a digest only, of rows from before too",
    "sql/003_fhir_expiry.test.ts: 16-14 of a call",
    "sql/003_fhir_expiry.test.ts: 16-14 a call of an older",
  ),
  held(
    "16-14",
    "Errors of exchange jobs could quote a name that no erasure finds",
    "Elements, codes and counts only",
    "sql/003_fhir_expiry.test.ts: 16-14 errors of jobs",
  ),
  held(
    "16-14",
    "HL7 messages, validation results and search parameters of no account stayed for ever",
    "A clock job takes them away after 28 days",
    "sql/003_fhir_expiry.test.ts: 16-14 what is of no account",
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
  held(
    "16-15",
    "Rows from before a column with a key never came back once a later version had one (42703)",
    "Such a key asks nothing of them",
    "engine/module/restore.test.ts: 16-14",
  ),
  held(
    "16-15",
    "A later version without a column took its values away with the archived table, with exit 0",
    "Refused until they have a column, or are given up by a statement",
    "engine/module/restore.test.ts: 16-15 a later version without a column",
  ),
  held(
    "16-16",
    "A partitioned table under `archive:` went to the archive without its partitions, which down.sql dropped with their rows",
    "What could not wait in the archive, or not come back from it, is refused by `up`; where an older release took parts, the rollback is refused and drops none",
    "engine/module/fit.test.ts: 16-16",
  ),
];
