import { flag, integer, list, optional, resource, text } from "../../spec";

export const ledgerSpec = resource(
  "Ledger",
  "The tables in the target database that record what the migration did there. Every other resource depends on it. Destroying it keeps them, unless purge is set.",
  {
    inputs: {
      purge: flag("Whether destroy also drops the archive and the ledger itself, with all rows that wait there."),
      adopt: optional(text("The id of a ledger of another stack that this stack takes over.")),
      acknowledge: optional(
        text("The session of an emergency rollback after which features may be switched on again."),
      ),
      switchesOn: optional(
        flag("Whether a flag of the stack is to be on, which an emergency rollback forbids until it is acknowledged."),
      ),
      publications: optional(list(text("A publication."), "Publications that new tables may join; up refuses others.")),
    },
    computed: {},
    outputs: {
      ledgerId: text("The uuid of this ledger."),
      format: integer("The version of its tables. An older one is raised by the next up, in place."),
    },
  },
);
