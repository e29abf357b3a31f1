import { held } from "./finding";

const replaced = "provider/replaced.test.ts";

/** What Pulumi's verbs, other people's databases and operators' mistakes broke. */
export const stackFindings = held({
  "16-1": [
    [
      "`up --replace` and `state taint` deleted the rows that the new resource had just taken over, with exit code 0",
      "Every adoption has an id of its own; the delete of one that a newer superseded warns and deletes nothing",
      `${replaced}: of every kind`,
      "stories/replaced.slow.test.ts: --replace and taint",
      "resources/verbs.slow.test.ts: rows and flags are right",
    ],
    [
      "A preview of a replacement said `1 to replace` and nothing of the rows",
      "It says that the replacement takes over what is there and deletes nothing",
      `${replaced}: preview says`,
    ],
    [
      "A state of yesterday, imported, deleted or reported as gone what stood",
      "diff, update and delete refuse it until it is refreshed",
      `${replaced}: a state from before`,
    ],
    [
      "A delete that was pending came again with every `up`",
      "It clears itself: by up, by refresh and by destroy",
      `${replaced}: killed between the two`,
    ],
    [
      "Consents were taken back before anybody asked who needs them",
      "What is still needed is asked before any row is touched",
      `${replaced}: what is still needed`,
    ],
    [
      "A flag that the state had forgotten was `changed outside this stack` once its module had come back",
      "It is made again as the program says",
      `${replaced}: a flag that the state has forgotten`,
    ],
    [
      "After `state rename` the way out that was named was a new stack",
      "Every verb refuses it, with the commands that mend it",
      `${replaced}: state rename`,
      `${replaced}: runs that ask of one alone`,
    ],
    [
      "`state protect` did not stop a destroy by the wrapper",
      "Where the state holds something protected, destroy runs by the state alone, and the engine refuses",
      "scripts/pulumi-cli.test.ts: 16-1 destroys nothing",
    ],
  ],
  "16-2": [
    [
      "A renamed stack was told that another one took over, and offered the one that was gone",
      "Both possibilities are told, and one setting takes the new name over",
      "provider/renamed.test.ts: a stack",
      "stories/renamed.slow.test.ts: says what it is",
    ],
    [
      "A renamed database was called a copy",
      "It is told by its oid; one setting, and every resource's state follows",
      "provider/renamed.test.ts: a database",
      "engine/ledger/owner.test.ts: 16-2",
    ],
    [
      "A preview of a takeover failed: its objects were those of others",
      "It says that it takes over what is there",
      "provider/renamed.test.ts: another stack",
    ],
  ],
  "16-3": [
    [
      "After `stack init prod` any command made dev, selected it, and did there what was meant for prod",
      "dev is made only where no stack is and none was; else the command stops and lists the stacks",
      "scripts/pulumi-stacks.test.ts: ${what}",
    ],
    [
      "In a second clone `incorrect passphrase`, and nothing more",
      "Which passphrase is missing, who has it and where it goes",
      "scripts/pulumi-stacks.test.ts: a second clone",
    ],
    [
      "README's commands for a new stack were refused, or left a salt in tracked files",
      "They run, by the wrapper and by the CLI; the salt of a clone's own passphrase leaves every stack's file",
      "scripts/pulumi-stacks.test.ts: README",
    ],
    [
      "`PULUMI_STACK=prod` in a fresh clone made dev",
      "It stops, and lists the stacks",
      "scripts/pulumi-stacks.test.ts",
    ],
  ],
  "16-4": [
    [
      "The way back from an emergency rollback took two steps, and its id had to stay for ever",
      "One step; the id may go or stay; the newest covers the older ones and says so",
      "engine/flags-emergency.test.ts: 16-4",
      "stories/flags.test.ts: after an emergency rollback",
    ],
    [
      "After a destroy a new `up` failed half way, for an empty or wrong id",
      "The first resource refuses it, in preview too, before anything is written",
      "provider/emergency.test.ts: 16-4",
    ],
  ],
  "16-5": [
    [
      "Module 003 locked five v6 tables for 200 ms a try, 14 times, while it verified and recorded 123 objects",
      "v6 is locked at the end, for keys and triggers on its tables and a check of exactly these",
      "engine/module/v6/window.test.ts",
      "bench/bench.slow.test.ts: 16-5",
    ],
    [
      "`waits for v6 tables` where nobody held them, and nothing that could be set",
      "From the second try on the line says why; `guardian:locks`",
      "engine/module/v6-locks.test.ts: from the second try on",
      "provider/config.test.ts: 16-5",
    ],
  ],
  "16-6": [
    [
      "Tables that inherit from v6's, or are its partitions, were refused with advice that no operator can follow",
      "What inherits is passed by with ONLY, partitions are locked with their table",
      "engine/module/v6/kin.test.ts: inherits from v6's",
      "engine/module/v6/kin.test.ts: partitioned",
    ],
    [
      "An event trigger that logs DDL into a table of its own refused the whole migration",
      "Only modes that conflict with v6's readers and writers count",
      "engine/module/v6/kin.test.ts: event triggers",
    ],
  ],
  "16-7": [
    [
      "`ALTER DATABASE … SET quote_all_identifiers = on` broke verification",
      "Sessions set every setting that changes the catalogue's text or what SQL means",
      "engine/module/real.test.ts: 16-7",
    ],
  ],
  "16-8": [
    [
      "A publication FOR ALL TABLES or IN SCHEMA took the ledger and every table of v7 along, without a word",
      "Preview shows it, and `up` refuses before anything is written until it is accepted by name; the statements that make a list of it are in the message",
      "provider/publications.test.ts: 16-8",
      "engine/neighbours.test.ts: make lists of the publications",
    ],
    [
      "Event triggers, children, default rights and what anon may do to v6 were named nowhere",
      "The assessment names them; default rights open neither ledger nor archive",
      "engine/neighbours.test.ts: is named",
      "engine/neighbours.test.ts: default rights",
      "provider/drift.test.ts: no name that others chose",
    ],
  ],
  "16-11": [
    [
      "Names with a newline, rules, publication membership and children were no drift",
      "Every column of the catalogue is altered once and seen, or listed with why not",
      "engine/drift/catalogue.test.ts: 16-11",
      "provider/drift.test.ts: sees what hangs on a table",
    ],
    [
      "What an older release did not record would have been drift",
      "The inventory has a version; the first `up` records the new facts, shown as an update",
      "provider/drift.test.ts: facts that an older release",
      "provider/drift.test.ts: what the older release did see",
    ],
    [
      "Drift did not say what differs, and a flag that was changed by hand got no word in refresh",
      "It says so, once for all objects to which the same was done",
      "resources/sentences.test.ts: 16-11",
    ],
  ],
  "16-16": [
    [
      "Rows of a table whose CREATE TABLE has its key to v6 inline never came back (42P01)",
      "They come back, and its sequences go on after them",
      "engine/module/restore.test.ts: 16-16",
    ],
    [
      "A function that `objects:` does not list was accepted in silence",
      "Within the transaction what is listed equals what was made, of every kind, or it is refused",
      "engine/module/made.test.ts",
    ],
    [
      "A down.sql that drops an archived table was found in the real rollback only",
      "It is found when it is read; one that an older release recorded does not stop the rollback",
      "engine/module/down.test.ts",
    ],
    [
      "A module of one's own wrote rows of another module, the application or the ledger in a function or DO block, or emptied a table; its down.sql and verify.sql did so too",
      "Its transaction's rows are counted and files compared before COMMIT, up and down; verify.sql may only look",
      "engine/module/others-rows.test.ts",
      "engine/module/made.test.ts: 16-16 and does not list",
    ],
    [
      "A module of one's own set others' sequences, which no ROLLBACK takes back, or let go of the operator's lock",
      "Calls that are in no transaction are found in up.sql and down.sql, in blocks and called functions too",
      "engine/module/lasting.test.ts",
    ],
    [
      "module.yaml took names that none can have, a module that requires itself, and an object twice",
      "Each is told with its line before a module is applied",
      "engine/yaml.test.ts: 16-16",
    ],
    [
      "Errors that quote no row were withheld",
      "They show their text; all others stay withheld",
      "engine/module/secrets.test.ts: 16-16",
    ],
    [
      "A module's folder that a merge lost planned a silent delete",
      "Preview warns, with the rows that would be archived",
      "engine/module/archive.test.ts: 16-16",
    ],
  ],
  "16-17": [
    [
      "The migrator's rights were written nowhere, and the message listed them as alternatives",
      "`npm run grants` prints the script and why; docs/rights.md is made by it; all that are missing are listed",
      "engine/assess.test.ts: 16-17 the script",
    ],
    [
      "A role that may only read could not preview",
      "What only `up` needs is a warning there",
      "engine/assess.test.ts: 16-17 a role that may only read",
    ],
    [
      "`npm run grants` was for database postgres, whatever the stack's is",
      "For the stack's",
      "engine/assess.test.ts: 16-17 the script is",
    ],
  ],
  "16-18": [
    [
      "A password file that is a FIFO hung, one that everybody may read passed",
      "Refused, with the ways out",
      "engine/connect-settings.test.ts: 16-18",
    ],
    [
      "A server that asked for a cleartext password without TLS got it",
      "Refused, with the ways out; PGREQUIREAUTH means what it means to libpq",
      "engine/connect-auth.test.ts: 16-18",
    ],
    [
      "A prepared transaction that holds a lock had no name",
      "Its gid and ROLLBACK PREPARED",
      "engine/connect-lock-wait.test.ts: 16-18",
      "engine/module/v6-locks.test.ts: 16-18",
    ],
    [
      "A backup folder under /proc, or on a mount that hangs, hung `up` for ever",
      "Refused, or waited for no longer than 30 s",
      "engine/backup-failures.test.ts: 16-18",
    ],
    [
      "^C in the first seconds left a lock; SIGTERM said ABORT_ERR and no way out",
      "The lock is given back; the error says who asked and what to do",
      "scripts/pulumi-cli.test.ts: 16-18",
      "scripts/pulumi-stale.test.ts: 16-18",
      "errors.test.ts: 16-18",
    ],
    [
      "A placeholder was kept as evidence with each patient's row",
      "A statement of consent that is one is refused",
      "config-refused.test.ts: 16-18",
    ],
  ],
});
