import { setCompletion } from "../../engine/session";
import { handler, type Kind } from "../handler";
import { sessionCompletionSpec } from "./spec";

const kind: Kind<typeof sessionCompletionSpec> = {
  spec: sessionCompletionSpec,

  async create(_call, _inputs, session) {
    await setCompletion(session, true);
    return {};
  },

  delete: (_call, _state, session) => setCompletion(session, false),

  read: () => Promise.resolve({}),
};

export const sessionCompletionHandler = handler(kind);
