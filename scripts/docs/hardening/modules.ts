import { held } from "./finding";

const consents = "sql/004_enhanced_consent_ends.test.ts";
const servers = "sql/003_fhir_servers.test.ts";
const refused = "engine/module/refused.test.ts";

/** What users of the modules, and callers of their functions, broke. */
export const moduleFindings = held({
  "16-9": [
    [
      "140 MB in two columns: the patient's account could not be deleted (54000)",
      "Every column that a user can write has a bound, listed in docs/bounds.md",
      "sql/bounds.test.ts: 16-9",
    ],
    [
      "Audits made JSON of the whole row",
      "They read keys and columns only",
      "sql/000_audit_log.test.ts: 16-9",
      "sql/004_enhanced_consent_audit.test.ts: 16-9",
    ],
    [
      "One bad row stopped a job for everybody",
      "It is passed over, noted by key and counted",
      "sql/jobs.test.ts: 16-9",
    ],
  ],
  "16-10": [
    [
      "Who was removed from a collaboration joined it again; admission was decided by the snapshot from before the lock",
      "Every function that locks and then acts decides after the lock, in a new statement",
      "sql/locking.test.ts: 16-10",
    ],
    [
      "A flag that somebody was switching on survived the emergency rollback",
      "All flags are locked first; a stack asks for a rollback once it holds the flag",
      "sql/009_operations.test.ts: 16-10",
      "engine/flags-emergency.test.ts: 16-10",
    ],
  ],
  "16-12": [
    [
      "`https://other.example/Patient/p1` was taken for the own source's p1; Clinic and CLINIC were two sources",
      "A reference is resolved by its server or refused; sources are compared without case",
      `${servers}: a reference is resolved`,
      `${servers}: a source is the same`,
    ],
    ["A CHECK's DETAIL printed the plaintext secret", "The error holds no value", `${servers}: no error of a function`],
    ["Periods with infinite and BC dates", "Builders leave them out, import refuses them", `${servers}: no period`],
  ],
  "16-13": [
    [
      "A consent that ended while a transaction was open opened access in it",
      "Access is decided as of the statement",
      `${consents}: a consent that ends while`,
      `${consents}: no function or view`,
    ],
    [
      "Auto-renew revived what ended on a day that somebody chose; infinity was taken",
      "Only an end that nobody chose is put off; infinity is refused",
      `${consents}: what ends on a day`,
      `${consents}: infinity`,
    ],
    [
      "Deleted and impossible accounts got consents and messages, and `288 of 288` hid them",
      "They are left out and counted by reason, in preview, ledger and log",
      "engine/migrate/consents.test.ts: 16-13",
      "sql/007_notification_queue_delivery.test.ts: 16-13",
    ],
    [
      "Zones such as `Japan` became UTC",
      "Every zone of the server is taken",
      "sql/005_user_preferences.test.ts: 16-13",
    ],
  ],
  "16-14": [
    [
      "CR and LF in an address, a title or a name became a header of its own",
      "No text that may go into a line of a protocol takes a control character; it is refused before anything is written, without its value",
      "sql/lines.test.ts: 16-14",
    ],
    [
      "Any editor finalized anybody's note",
      "Its author or the session's owner does, judged after the lock",
      "sql/008_realtime_collaboration_notes.test.ts: 16-14 a note is finalized",
    ],
    [
      "lease_token was readable to all of service_role, so that one worker could end another's work",
      "The table has a digest; only the claim tells the token",
      "sql/told.test.ts: 16-14 a lease's token",
    ],
    [
      "anon heard ids and versions on a NOTIFY channel",
      "One constant channel without payload: a hint to look",
      "sql/told.test.ts: 16-14 a notification",
      "sql/008_realtime_collaboration_notes.test.ts: 16-14 who listens",
    ],
    [
      "Inviting an id told, by 23503, whether it is an account",
      "The same SQLSTATE, message and rows for another's id and nobody's; each key and function is tried from the catalogue",
      "sql/oracles.test.ts: 16-14",
      "sql/008_realtime_collaboration.test.ts: 16-14",
    ],
    [
      "A flag that module 001 does not know could not be added to a stack that is up",
      "`guardian:flags` declares it; the resource makes and removes its row, rollout stays strict, rows of others are left",
      "provider/declared-flags.test.ts: 16-14",
      "config.test.ts: 16-14",
    ],
    [
      "A row of a flag that was made during an emergency rollback would have stayed on",
      "Making it waits for the rollback, and is refused",
      "engine/flags-emergency.test.ts: 16-14",
    ],
    [
      "Nobody knew what an erasure leaves: names in errors of jobs, in unlinked HL7 messages, in addresses of FHIR calls",
      "Every column of every schema is decided on, docs/erasure.md says why what stays does; the archive too",
      "sql/erasure.test.ts: 16-14",
    ],
    [
      "Addresses and ids of FHIR calls named patients after an erasure",
      "The route and a digest only, of rows from before too",
      "sql/003_fhir_expiry.test.ts: 16-14 of a call",
      "sql/003_fhir_integration.test.ts: 16-14 calls of an older",
    ],
    [
      "Errors of exchange jobs could quote a name that no erasure finds",
      "Elements, codes and counts only",
      "sql/003_fhir_expiry.test.ts: 16-14 errors of jobs",
    ],
    [
      "HL7 messages, validation results and search parameters of no account stayed for ever",
      "A clock job takes them away after 28 days",
      "sql/003_fhir_expiry.test.ts: 16-14 what is of no account",
    ],
  ],
  "16-15": [
    [
      "An archived row that a new bound refuses failed every `up`",
      "It stays in the archive, counted and named by key, and whatever refers to it with it; all else comes back",
      refused,
      "provider/refused.test.ts: 16-15",
    ],
    [
      "A revocation that waits in the archive would have got an assumed consent beside it",
      "The migration takes a waiting row for one that is there",
      `${refused}: who revoked a consent`,
    ],
    [
      "Rows from before a column with a key never came back once a later version had one (42703)",
      "Such a key asks nothing of them",
      "engine/module/restore.test.ts: 16-14",
    ],
    [
      "A later version without a column took its values away with the archived table, with exit 0",
      "Refused until they have a column, or are given up by a statement",
      "engine/module/restore.test.ts: 16-15 a later version without a column",
    ],
    [
      "A later version's narrower type rounded or cut archived values when they came back (numeric(10,1), timestamptz(0))",
      "Such a row stays in the archive, named by key and column",
      "engine/module/restore-rows.test.ts: 16-15 a value",
    ],
    [
      "A column that a later version computes took the place of archived values",
      "Refused, naming it",
      "engine/module/restore-rows.test.ts: 16-15 nor does",
    ],
    [
      "Of two archived rows that collide by a UNIQUE, index or exclusion that a later version brought, the second was lost as beaten by a live row",
      "Only one that a live row equals goes; the second stays in the archive, named by key and by what refused it",
      "engine/module/collisions.test.ts: 16-15",
    ],
    [
      "json values with other spaces than jsonb's stayed in the archive",
      "They are compared as JSON: only a value that loses a member stays",
      "engine/module/restore-rows.test.ts: 16-15 a value",
    ],
    [
      "Where a column's type is narrower now, a run whose time was up began to look at its first page again, every time",
      "Values are looked at with the rows that are moved: what is back is back",
      "engine/module/restore-rows.test.ts: 16-15 a run whose time is up",
    ],
    [
      "Rows that came back by a key whose NULLs are the same were each compared with every live row",
      "Each is looked up",
      "engine/module/collisions.test.ts: 16-15 by a key whose NULLs",
    ],
  ],
  "16-16": [
    [
      "A partitioned table under `archive:` went to the archive without its partitions, which down.sql dropped with their rows",
      "What could not wait in the archive, or not come back from it, is refused by `up`; where an older release took parts, the rollback is refused and drops none",
      "engine/module/fit.test.ts: 16-16",
    ],
    [
      "A module that replaced a function of v6 did so in silence, and no rollback put it back; up.sql and down.sql could write v6's rows",
      "What functions do is compared within the transaction; statements that write rows of others are found before",
      "engine/module/made.test.ts: 16-16 and does not list is refused",
      "engine/module/down.test.ts: 16-16",
    ],
    [
      "A module of one's own could switch off row security of v6's tables, rename their columns, change rights or triggers: no list held it, and a rollback left it so",
      "What objects of others are like, and that they are there, is compared within the transaction; a DROP of what is not the module's, and statements about roles and the server, are found before",
      "engine/module/made.test.ts: 16-16 and does not list",
      "engine/module/down.test.ts: 16-16 nor does up.sql drop",
    ],
    [
      "A DO block, or a function that a module of one's own called, changed a role, or settings and rights of the database, unseen",
      "Roles and databases are compared within the transaction; of a DO block the words are looked at before",
      "engine/module/made.test.ts: 16-16 and does not list",
      "engine/module/made.test.ts: 16-16 a role that is new",
      "engine/module/down.test.ts: 16-16 nor does up.sql drop",
    ],
    [
      "A GRANT under the locks on somebody's overload of a listed function was taken for the module's own",
      "Functions are told by their arguments too",
      "engine/module/made.test.ts: is told by the words",
    ],
    [
      "An upgrade stopped the stack of a module that was applied before such things were refused",
      "Only a module that is not applied is looked at",
      "engine/module/down.test.ts: 16-16 but a module that an older release applied",
    ],
    [
      "An auditor's preview ended (42501) once a flag that up had written was taken out of the program",
      "It names the flag, and what it goes back to where the role may ask that",
      "engine/flags.test.ts: 16-16 are named once they leave",
    ],
    [
      "Flags that go back to what module 001 delivers, when a stage is taken out, were not told in preview",
      "Preview names them with what they are and will be",
      "provider/product.test.ts: 16-16",
    ],
  ],
  "16-11": [
    [
      "An overload of ours, BYPASSRLS for the API's roles and others' views over our tables were no drift",
      "They are told, by version 3 of the inventory",
      "engine/drift/catalogue.test.ts: 16-11 are each altered",
    ],
    [
      "Somebody's own views and SECURITY DEFINER functions over v7's tables, and members of guardian_operator, were seen by nobody",
      "The assessment and the gates name them: a warning for what passes row security, and for members that guardian:operators does not accept",
      "engine/neighbours.test.ts: 16-11",
    ],
    [
      "Rules on v6's tables and CREATE on schema public were said by nobody",
      "The assessment warns",
      "engine/neighbours.test.ts: 16-11",
    ],
  ],
});
