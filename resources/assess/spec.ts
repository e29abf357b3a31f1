import { invocation, list, optional, record, text } from "../../spec";

export const assessSpec = invocation(
  "assess",
  "Looks at the database before anything is done to it; refuses one that is not a Guardian v6, or where a right is missing.",
  {
    inputs: {
      modules: list(
        text("A module."),
        "Modules that the stack declares: what is applied besides is taken out, and told.",
      ),
      migrations: optional(
        list(
          text("A data migration."),
          "Data migrations that the stack declares: what else wrote rows is taken out, and told.",
        ),
      ),
      flags: optional(
        list(text("A flag."), "Flags that the stack declares: what else it wrote goes back, and is told."),
      ),
      accepted: optional(list(text("A publication."), "Publications that new tables may join.")),
      operators: optional(list(text("A role."), "Members of guardian_operator that are meant.")),
    },
    outputs: {
      server: text("The server's version."),
      items: list(
        record(
          {
            item: text("What was looked at."),
            status: text("What was found."),
            readiness: text("Ready, Not ready, Note or Warning."),
            action: text("What to do."),
          },
          "One finding.",
        ),
        "All findings.",
      ),
      told: list(
        record(
          { severity: text("warn or info."), text: text("A sentence.") },
          "What the user is to be told, and no output of a stack: it changes while v6 is used.",
        ),
        "What is told, in order.",
      ),
    },
  },
);
