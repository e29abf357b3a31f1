import { resource, text } from "../../spec";

export const sessionCompletionSpec = resource(
  "SessionCompletion",
  "Marks the session as completed; deleting it marks it as in progress again.",
  {
    inputs: { sessionId: text("The session."), ledgerId: text("The ledger that records it.") },
    computed: {},
    outputs: {},
  },
);
