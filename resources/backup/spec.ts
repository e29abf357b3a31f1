import { integer, list, map, resource, text } from "../../spec";

export const backupSpec = resource(
  "Backup",
  "A dump of the whole database, taken before anything is changed and again before every later change. Deleting the resource never removes files.",
  {
    inputs: {
      directory: text("Folder for the backups."),
      jobs: integer("How many tables are dumped at once."),
      maxAgeSeconds: integer("How old a finished backup of a killed run may be to be taken for this one."),
      modules: list(text("A module."), "Modules that the stack declares."),
      migrations: list(text("A data migration."), "Data migrations that the stack declares."),
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
    },
  },
);
