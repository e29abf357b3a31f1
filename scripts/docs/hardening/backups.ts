import { held } from "./finding";

const planted = "engine/prove/planted.test.ts: 17-3";
const elsewhere = "engine/prove/elsewhere.test.ts";
const proof = "engine/backup-proof.test.ts";
const table = "engine/restore/table.test.ts: 17-6";
const store = "engine/store/store.test.ts: 18-4";

/** What broke, or would have, of backups, their proof, their way back, and where they are kept. */
export const backupFindings = held({
  "17-1": [
    [
      "A materialized view over postgres_fdw asked its server from the scratch, where a copy was restored",
      "It is not filled, and named",
      `${elsewhere}: 17-1`,
    ],
    [
      "A manifest that somebody swapped passed, with its files",
      "Its SHA-256 is in the ledger",
      `${proof}: 17-1 takes another`,
      planted,
    ],
    [
      "Other parentheses, or another cast, in a restored definition passed",
      "Definitions are compared by their parse trees",
      "engine/prove/same.test.ts: 17-1 differ",
    ],
    [
      "A policy's roles in the server's own order refuted a whole backup",
      "They are told alike",
      "engine/prove/same.test.ts: 17-1 mean the same",
    ],
    [
      "Indexes of a copy were not looked at where the scratch lacked amcheck, or the database had its own, and nobody said so",
      "The database's own is used; where there is none, up warns",
      planted,
      `${proof}: 17-2 refuses before`,
    ],
    [
      "Dumps were taken in the database's own time zone: the comparison found other rows in every table with a timestamptz",
      "They are taken in UTC",
      "engine/restore/whole.test.ts: 17-6 equals",
    ],
    [
      "A read-only default, or a limit of time, that is set for the first role ended its own proof",
      "The scratch's sessions have their own",
      "engine/prove/planted.test.ts: 17-1 by ^C",
    ],
    [
      "A materialized view that came back empty was proven",
      "Its REFRESH is compared as a definition is",
      "engine/prove/planted.test.ts: 17-3",
    ],
    [
      "A CHECK that calls dblink asked another server from the scratch, row by row",
      "The scratch has no network (Linux); it is said as that, and refutes nothing",
      `${elsewhere}: 17-1 asks nobody for its rows`,
    ],
    [
      "`ALTER DATABASE … SET bytea_output = escape` refuted every backup: the copy was dumped in hex",
      "The manifest says how bytea was written, and the copy is dumped alike",
      "engine/restore/whole.test.ts: 17-1 is proven, whatever is in it",
    ],
    [
      "A setting, comment or definition of several lines lost lines and indentation in a restore, and was refuted by its proof",
      "Only what is before a statement goes",
      "engine/prove/place.test.ts: 17-1",
    ],
    [
      "A pg_restore that was killed, or had no memory left, refuted a good backup",
      "It is said as what it is, and the backup stays",
      "engine/backup-client.test.ts: 17-1 a pg_restore",
    ],
  ],
  "17-2": [
    [
      "A configured scratch without the roles of a policy, or with too few rights, refuted the backup",
      "What names them is left out and named; too few rights are said as the scratch's",
      `${elsewhere}: 17-2`,
    ],
  ],
  "17-4": [
    [
      "A file that was gone before the proof stopped every `up`",
      "It refutes the backup; the next `up` takes another",
      `${proof}: 17-1 takes another`,
    ],
    [
      "The plugin, compiled into one file, found no server to restore on: `from is not iterable`",
      "It is told where packages are",
      "provider/proven.test.ts",
    ],
    [
      'After a first proof that could not be made (a scratch that died) or was not accepted, every `up` ended with `The "path" argument must be of type string`',
      "Where the dump lies is the ledger's to say, not the state's",
      "provider/proven.test.ts: 17-4 a proof",
    ],
    [
      "A dump whose files were deleted after its proof still served an `up`",
      "Each file must be there, of its size",
      "engine/backup-policy.test.ts: is taken anew where it is old",
    ],
  ],
  "17-6": [
    [
      "Whose half-written backup it is was told by a process's number: another container's living run could be removed",
      "It is told by host, boot, namespace of processes and start as well",
      "engine/keep/read.test.ts: 17-6 is read without",
    ],
    [
      "A restore that was cut off looked like the database",
      "It has its name only once all was compared",
      "engine/restore/whole.test.ts: 17-6 that is stopped",
    ],
    [
      "A password in `--to` stands in every list of processes",
      "It is refused and not shown",
      "scripts/backups-usage.test.ts: 17-6 refuses a password",
    ],
    [
      "One table that was restored reached production by keys, triggers, sequences, default rights, or a publication of all tables",
      "It goes into a schema of its own, unlogged, untied, for its owner alone",
      `${table} goes into`,
    ],
    [
      "Pruning could take what an `up` that runs meanwhile relies on",
      "It is asked anew under the migration's lock, and refused without the ledger",
      "engine/keep/choose.test.ts: 17-6 are never the last",
      "scripts/backups.test.ts: 17-6 lists",
    ],
    [
      "Pruning removed files from under a restore or a verify that was reading them",
      "Who reads leaves a note that dies with its process; the name goes before the notes are looked at",
      "engine/keep/read.test.ts: 17-6 what is being read",
    ],
    [
      "A restore filled its disk after hours, in the dump with which it is compared",
      "Room beside the backup is asked for first, with figures",
      "engine/prove/broken.slow.test.ts: 17-1 a disk that is full",
    ],
    [
      "A connection that was lost in the last RENAME left a whole database that was called not whole: drop it",
      "It says that all of it is there, and how it gets its name",
      "engine/restore/whole.test.ts: 17-6 that loses its connection",
    ],
    [
      "`up` on a restored v7 said: drop what is there",
      "It says to drop nothing; restore names the backup from before v7",
      "scripts/backups-usage.test.ts: 17-6 says of a v7",
    ],
    [
      "Half-written copies of runs in other containers stayed for ever, and only a dump said so",
      "Restore, verify and masking say so too, and what to do",
      "engine/restore/whole.test.ts: 17-6 that is stopped or damaged",
    ],
    [
      "A restore by a role that is no superuser failed half way, and what it lacked was withheld",
      "It is refused before, with the rights; or `--no-owner`",
      "engine/restore/poor.test.ts",
    ],
    [
      "One table of a database with `bytea_output = escape` was refused: other rows than the dump",
      "It is read back as it was written",
      "engine/restore/table.test.ts: 17-6",
    ],
    [
      "A backup that a later proof refuted went on as proven: restore took it, prune kept it before a sound one",
      "The later word counts",
      "engine/keep/choose.test.ts: 17-6 are never the last",
    ],
    [
      "A restore filled materialized views from other servers, and failed where these were down",
      "They are named, and filled by whoever may",
      "engine/prove/elsewhere.test.ts: 17-1 is restored without",
    ],
  ],
  "17-7": [
    [
      "Of a database with `bytea_output = escape`, short bytea stayed unmasked, and a masked restore failed",
      "The escape format is masked byte by byte, too",
      "engine/mask/values.test.ts: 17-7 bytes",
      "engine/mask/backup.test.ts: 17-7 by rules",
    ],
    [
      "A column without a rule, or a rule made weaker, would have put patients' words into staging",
      "Each column is named or refused; marks in every column are looked for in every column",
      "engine/mask/backup.test.ts",
    ],
    [
      "Settings of roles and databases, and user mappings, would have brought passwords into staging",
      "They stay out of a masked copy",
      "engine/mask/backup.test.ts: 17-7 by rules",
    ],
    [
      "What persons wrote under the keys of codes, and keys that they wrote, stayed in masked JSON",
      "Codes stay only where the product writes them",
      "engine/mask/values.test.ts: 17-7 what a person wrote",
    ],
  ],
  "18-2": [
    [
      "The end of a Role gave all that it owned to the administrator, functions with the owner's rights among them",
      "The destroy stops",
      "stories/foundation.slow.test.ts",
    ],
    [
      "A role's password stood in the state, and in the server's log",
      "State and server get its SCRAM verifier",
      "scripts/roles.test.ts: 18-2 a verifier",
      "components/database-access.test.ts: 18-2 no role's password",
    ],
    [
      "The auditor's preview of a stack that is up ended at its flags: a function that only its owner may call",
      "To whom it is not granted the ledger says what was last written",
      "scripts/roles.test.ts: 18-2 the auditor refreshes",
      "stories/foundation.slow.test.ts: 18-2 as the roles",
    ],
    [
      "A role's password in clear passed beside another's that was a secret",
      "The stack's file says which of them is one",
      "components/foundation.test.ts: 18-2 a password in clear",
    ],
    [
      "The roles' script ended in its middle where v6 has no user_profiles",
      "`--without-profiles`",
      "scripts/grants.test.ts: 18-2 npm run grants",
    ],
  ],
  "18-3": [
    [
      "An encrypted file that was cut off between two chunks was taken for whole",
      "The last chunk is marked, and a stream counts only at its end",
      "engine/age/age.test.ts: 18-3 refuses",
      "engine/age/vectors.test.ts",
    ],
  ],
  "18-4": [
    [
      "An upload that was killed half way looked like a backup",
      "Its index comes last, after all was read back; the next run goes on with the parts that the ledger names",
      `${store} a killed upload`,
      "engine/store/server.slow.test.ts: 18-4 the server is killed",
    ],
    ["A server that passes over SSE-KMS said nothing of it", "Its answer must name the encryption", `${store} KMS`],
    [
      "A sweep of half uploads could have taken another's objects",
      "Only folders with this ledger's and database's mark, and without an index",
      `${store} removes`,
    ],
    [
      "An index that somebody else wrote led a fetch out of its folder",
      "Only names of a backup's own files are taken",
      `${store} refuses before`,
    ],
    [
      "Recipients or a key were replaced: half of a backup for one and half for the other, or none of it stored anew",
      "It is stored anew, its index with it",
      "engine/store/step.test.ts: 18-4 whatever adds waits",
    ],
    [
      "An own upload whose answer was lost was told as somebody else's object",
      "It is read back, and gone on with",
      "engine/store/store.test.ts: 18-4 an upload whose answer",
    ],
    [
      "A fetch trusted whoever writes to the bucket",
      "The index is compared with the ledger's, where that answers",
      "scripts/backups-store.test.ts: 18-4",
    ],
  ],
  "18-5": [
    [
      "A destroy would have taken the public access block and the TLS policy of a bucket that stays",
      "All that guards it is protected and retained",
      "components/aws-backup-store.test.ts: 18-5 a destroy",
    ],
    [
      "The bucket's Deny was true of an absent header: each upload without kmsKey would have got 403",
      "`Null` stands beside the negated operator",
      "components/aws-policies.test.ts",
    ],
  ],
  "18-9": [
    [
      "By a tag on somebody's key of KMS the administrator could have given it another policy, or deleted it",
      "The one tag, and no key that has an alias of another name",
      "components/aws-policies.test.ts: 18-9 the administrator ${may",
    ],
  ],
  "18-6": [
    [
      "Lowering `through` would have waited for a new snapshot, and raising it again asked RDS for a name that is taken",
      "The Backup's `covers` names it: it stays on the way back, and has the backup's time",
      "provider/covers.test.ts: 18-6",
    ],
    [
      "The snapshot's role lacked what the provider's read asks, and could tag the database",
      "Both reads; tags on the snapshot only",
      "components/aws-policies.test.ts: 18-6",
    ],
  ],
  "17-3": [
    [
      "A folder of a run that lived on another machine of the same name, as containers have it, was removed as one from before a restart",
      "It is removed only where the machine's id is this one's",
      "engine/process.test.ts: 17-3",
    ],
  ],
  "18-7": [
    [
      "A replica of an idle source would have rung at night",
      "360 s for instances",
      "components/aws-monitoring.test.ts",
    ],
  ],
  "18-8": [
    [
      "The way back stopped on a machine without the plugin that the state needs",
      "The state and the command line are asked, too",
      "scripts/pulumi-packages.test.ts: 18-8",
    ],
  ],
  "19-3": [
    [
      "A full server passed for a role that does not see others' sessions",
      "They are counted",
      "engine/gates/faults/faults.test.ts: 19-3 finds each fault",
    ],
  ],
  "19-6": [
    [
      "A view over a view gave rows to anon, unseen",
      "Views are looked through",
      "engine/gates/faults/faults.test.ts: 19-6 finds each fault",
    ],
  ],
});
