import { choice, flag, integer, list, map, number, optional, record, resource, text } from "../../spec";

const verdicts = ["proven", "partly proven", "not proven"] as const;
const verifications = ["restore", "list"] as const;

const scratch = record(
  {
    host: text("Host name, address or socket directory."),
    port: optional(integer("Its port.")),
    database: optional(text("The maintenance database.")),
    user: optional(text("The role to connect as.")),
    sslmode: optional(text("Encryption, as libpq means it.")),
    passwordFrom: optional(text("env:NAME or file:PATH: where the password is.")),
  },
  "A server to restore on, in place of the embedded one.",
);

const store = record(
  {
    to: text("s3://bucket or s3://bucket/prefix."),
    recipients: list(text("An age1… key, or none."), "Whom backups are encrypted for."),
    kmsKey: optional(text("The KMS key that the server encrypts with besides.")),
    endpoint: optional(text("Another server than AWS's.")),
    pathStyle: optional(flag("Whether the bucket stands in the path of URLs.")),
    region: optional(text("The bucket's region.")),
    identityFrom: optional(text("env:NAME or file:PATH: where the identity is that opens them.")),
  },
  "Where backups are stored off the machine.",
);

export const backupSpec = resource(
  "Backup",
  "A dump of the whole database, taken before anything is changed and again before every later change, and proven by restoring it before anything is added or changed. Deleting the resource never removes files.",
  {
    inputs: {
      directory: text("Folder for the backups."),
      jobs: integer("How many tables are dumped, or restored, at once."),
      maxAgeSeconds: integer("How long after its proof a backup serves changes that are still to come."),
      modules: list(text("A module."), "Modules that the stack declares."),
      migrations: list(text("A data migration."), "Data migrations that the stack declares."),
      verify: optional(choice(verifications, "Whether it is restored, or only its table of contents read.")),
      strict: optional(flag("What is a warning elsewhere is refused.")),
      maxRestoreSeconds: optional(integer("How long a restore may take.")),
      accept: optional(map(text("The reason."), "What is accepted though it is not proven: backup/<schema>.<table>.")),
      scratch: optional(scratch),
      store: optional(store),
      ledgerId: text("The ledger that records it."),
    },
    computed: {
      protects: map(
        text("A hash."),
        "What is declared, by meaning: a change of it is an update that dumps anew first.",
      ),
    },
    outputs: {
      path: text("Folder of the newest backup."),
      takenAt: text("When its snapshot was taken."),
      bytes: integer("Its size."),
      rows: integer("Rows in it."),
      tables: integer("Tables in it."),
      proof: choice(verdicts, "What restoring it has shown."),
      provenAt: text("When that was; empty if it was not restored."),
      storedIn: optional(text("Where it is stored off the machine.")),
      covers: text(
        "What the newest backup is of that something was added or changed on, as <hash of what it protects>-<time of its snapshot>. One of what is only taken out leaves it as it was.",
      ),
      restoreSeconds: number("How long the restore took: about the time to be back. 0 if it was not restored."),
    },
  },
);
