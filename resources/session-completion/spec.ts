import { resource, text } from "../../spec";
import { behindInput } from "../../spec/gates";

export const sessionCompletionSpec = resource(
  "SessionCompletion",
  "Marks the session as completed; deleting it marks it as in progress again.",
  {
    inputs: {
      sessionId: text("The session."),
      ...behindInput,
      ledgerId: text("The ledger that records it."),
    },
    computed: {},
    outputs: {},
  },
);
