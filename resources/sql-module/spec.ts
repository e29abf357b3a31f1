import { throughInput } from "../../config/stages";
import { integer, list, map, record, resource, text, whole } from "../../spec";
import { behindInput } from "../../spec/gates";

export const sqlModuleSpec = resource(
  "SqlModule",
  "One folder of sql/: applied in one transaction, verified, and undone as a whole; its rows wait in the archive after a rollback.",
  {
    inputs: {
      module: text("The folder's name in sql/."),
      ...throughInput,
      ...behindInput,
      ledgerId: text("The ledger that records it."),
    },
    computed: {
      title: text("What the module is, from module.yaml."),
      meaning: text("Hash of what up.sql (or up/), indexes.sql and module.yaml mean, comments and layout aside."),
      downMeaning: text("Hash of what down.sql means."),
      verifyMeaning: text("Hash of what verify.sql means."),
      requires: list(text("A module."), "Modules that it needs."),
      locks: list(
        text("A relation."),
        "v6 relations that are locked for a moment: SHARE ROW EXCLUSIVE on the way up, ACCESS EXCLUSIVE on the way down.",
      ),
      objects: whole(list(text("An object."), "Everything that it creates.")),
      archive: whole(
        list(
          record(
            { table: text("The table."), subject: text("The column that holds the person, or none.") },
            "A table whose rows survive a rollback.",
          ),
          "Tables whose rows survive a rollback.",
        ),
      ),
    },
    outputs: {
      applyId: text("The ledger's number of this application; archived tables carry it in their names."),
      facts: integer(
        "The version of the inventory by which the ledger describes its objects. An older one is raised by the next up, which records what that one did not tell.",
      ),
      definitions: whole(
        map(
          text("A fingerprint."),
          "Object to a fingerprint of how the catalogue describes it: what differs is drift.",
        ),
      ),
    },
  },
);
